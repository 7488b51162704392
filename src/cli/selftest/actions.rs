//! The actions of the test container, one function each; each reports its result on stdout.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::mount::MountFlags;
use rustix::thread::UnshareFlags;

use super::file_actions;
use super::stage::{CHANGED, PATIENCE, PROGRAM, TOUCHED, stage, unshare};

/// The name that the container looks up.
pub(super) const NAME: &str = "selftest.hullwatch.invalid";
/// Exit code of the process that runs the actions.
pub(super) const CODE: u8 = 7;
/// Exit code of the new binary.
pub(super) const NEW_CODE: u8 = 42;
/// A port on which nothing listens: the connection to it is refused.
pub(super) const REFUSED: u16 = 1;
/// A copy of the image's program, and something that the image has nowhere.
pub(super) const MOVED: &str = "/tmp/relocated";
pub(super) const NEW: &str = "/tmp/new";
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

type SelftestAction = fn() -> io::Result<()>;

/// The actions by name, in order; `checks.rs` lists the events they must cause, but for those on
/// files, whose events are listed with them.
const ACTIONS: &[(&str, SelftestAction)] = &[
    ("new-binary", new_binary),
    ("drift", drift),
    ("memfd", memfd),
    ("files", file_actions::files),
    ("attributes", file_actions::attributes),
    ("tcp", tcp),
    ("refused", refused),
    ("dns", dns),
    ("deny", || run(&["deny"], 0)),
];

/// Does everything.
pub(super) fn all() -> ExitCode {
    for (name, action) in ACTIONS {
        match action() {
            Ok(()) => println!("done {name}"),
            Err(e) => println!("failed {name} {e}"),
        }
    }
    ExitCode::from(CODE)
}

/// Refused actions, as an unprivileged user. Runs in a separate process.
pub(super) fn deny() -> ExitCode {
    let nobody = rustix::thread::Uid::from_raw(65_534);
    let set = rustix::thread::set_thread_uid(nobody);
    let mounted = rustix::mount::mount("none", "/tmp", "tmpfs", MountFlags::empty(), None);
    let unshared = unshare(UnshareFlags::NEWNS);
    ExitCode::from(u8::from(
        set.is_err() || mounted.is_ok() || unshared.is_ok(),
    ))
}

fn run(words: &[&str], code: u8) -> io::Result<()> {
    run_program(PROGRAM, words, code)
}

fn run_program(program: &str, words: &[&str], code: u8) -> io::Result<()> {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let status = stage(program, &words).status()?;
    if status.code() == Some(i32::from(code)) {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program} ended with {status}")))
    }
}

fn new_binary() -> io::Result<()> {
    fs::copy(PROGRAM, "/tmp/dropped")?;
    fs::set_permissions("/tmp/dropped", fs::Permissions::from_mode(0o755))?;
    run_program("/tmp/dropped", &["exit", "42"], NEW_CODE)
}

/// Programs that differ from the image, and one that only seems to. They run side by side until all
/// of them are compared: then the selftest closes stdin.
fn drift() -> io::Result<()> {
    let executable = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(TOUCHED, executable())?;
    let append = |path: &str| {
        fs::OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(b"x")
    };
    append(CHANGED)?;
    for (path, changed) in [(MOVED, false), (NEW, true)] {
        fs::copy(PROGRAM, path)?;
        if changed {
            append(path)?;
        }
        fs::set_permissions(path, executable())?;
    }
    let most = PATIENCE.as_secs().to_string();
    let words = ["linger", &most].map(AsRef::as_ref);
    let all = [TOUCHED, CHANGED, MOVED, NEW].map(|program| stage(program, &words).spawn());
    for child in all {
        child?.wait()?;
    }
    Ok(())
}

fn memfd() -> io::Result<()> {
    let file = rustix::fs::memfd_create("selftest", MemfdFlags::empty())?;
    let mut file = fs::File::from(file);
    io::copy(&mut fs::File::open(PROGRAM)?, &mut file)?;
    run_program(
        &format!("/proc/self/fd/{}", file.as_raw_fd()),
        &["exit", "0"],
        0,
    )
}

fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"ahoy")?;
    drop(client);
    let mut received = Vec::new();
    server.read_to_end(&mut received)?;
    Ok(())
}

fn refused() -> io::Result<()> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, REFUSED)) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(e) => Err(e),
        Ok(_) => Err(io::Error::other("the connection was not refused")),
    }
}

fn dns() -> io::Result<()> {
    let server = UdpSocket::bind((NAME_SERVER, 53))?;
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.connect(SocketAddr::from((NAME_SERVER, 53)))?;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    }
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in NAME.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(0));
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    client.send(&query)?;
    let mut buffer = [0; 512];
    let (length, from) = server.recv_from(&mut buffer)?;
    let mut answer = buffer.get(..length).unwrap_or_default().to_vec();
    // An answer, recursion available; one record: the name above is 192.0.2.7 for a minute.
    answer.splice(2..4, [0x81, 0x80]);
    answer.splice(6..8, [0, 1]);
    answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    server.send_to(&answer, from)?;
    client.recv(&mut buffer)?;
    Ok(())
}
