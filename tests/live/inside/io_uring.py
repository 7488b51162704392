# Requests to io_uring by system calls only. io_uring.rs has the expected report of each.
import ctypes, mmap, os, socket, struct

libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 8, parameters)
assert ring >= 0, os.strerror(ctypes.get_errno())
sq = struct.unpack_from("8I", parameters, 40)
cq = struct.unpack_from("8I", parameters, 80)
shared = mmap.mmap(ring, max(sq[6] + 32, cq[5] + 256))
entries = mmap.mmap(ring, 8 * 64, offset=0x10000000)
kept = []


def text(content):
    kept.append(ctypes.create_string_buffer(content))
    return ctypes.addressof(kept[-1])


def word(at):
    return struct.unpack_from("I", shared, at)[0]


def ask(op, fd=-1, addr=0, size=0, off=0, flags=0, slot=0, third=0, how=0):
    tail = word(sq[1])
    place = tail & word(sq[2])
    request = (op, how, 0, fd, off, addr, size & 0xFFFFFFFF, flags, 0, 0, 0, slot, third, 0)
    struct.pack_into("<BBHiQQIIQHHIQQ", entries, place * 64, *request)
    struct.pack_into("I", shared, sq[6] + 4 * place, place)
    struct.pack_into("I", shared, sq[1], tail + 1)
    silent = how & 64
    libc.syscall(426, ring, 1, 0 if silent else 1, 1, None, 0)
    if silent:
        return 0
    head = word(cq[0])
    result = struct.unpack_from("<i", shared, cq[5] + (head & word(cq[2])) * 16 + 8)[0]
    struct.pack_into("I", shared, cq[0], head + 1)
    return result


CWD = -100
ASYNC = 16
NEW = os.O_CREAT | os.O_WRONLY


def done(what, result):
    print(what, result)
    assert result >= 0, (what, os.strerror(-result))
    return result


os.chdir("/srv")
made = done("open", ask(18, CWD, text(b"/srv/made"), 0o640, flags=NEW))
done("worker", ask(18, CWD, text(b"by-worker"), 0o600, flags=NEW, how=ASYNC))
done("table", libc.syscall(427, ring, 2, (ctypes.c_int * 2)(-1, -1), 2))
done("slot", ask(18, CWD, text(b"/srv/no-descriptor"), 0o600, flags=NEW, slot=1))
done("secret", ask(18, CWD, text(b"/etc/shadow"), 0, flags=os.O_RDONLY, slot=2))
print("refused", ask(18, CWD, text(b"/proc/version"), 0, flags=os.O_WRONLY))
done("mkdir", ask(37, CWD, text(b"/srv/folder"), 0o711))
done("rename", ask(35, CWD, text(b"made"), CWD, off=text(b"/srv/folder/moved")))
done("symlink", ask(38, CWD, text(b"folder/moved"), off=text(b"/srv/pointer")))
done("link", ask(39, CWD, text(b"/srv/folder/moved"), CWD, off=text(b"/srv/again")))
done("unlink", ask(36, CWD, text(b"/srv/again")))
done("fsetxattr", ask(41, made, text(b"user.ring"), 5, off=text(b"value")))
# Nobody answers this one.
ask(36, CWD, text(b"/srv/pointer"), how=64)
s = done("socket", ask(45, socket.AF_INET, 0, 0, off=socket.SOCK_STREAM))
server = socket.create_server(("127.0.0.1", 8081))
address = struct.pack("=H", 2) + struct.pack(">H", 8081) + socket.inet_aton("127.0.0.1") + bytes(8)
done("connect", ask(16, s, text(address), off=16))
done("accept", ask(13, server.fileno()))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
done("connect-udp", ask(16, u.fileno(), text(address), off=16))
print("raw", ask(45, socket.AF_INET, 0, 1, off=socket.SOCK_RAW))
