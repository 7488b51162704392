//! Records of privileged calls: their names, and their arguments as text.

use hullwatch_abi::privilege::{CALLS, PrivilegeRecord, flag};

use super::{ConvertError, fixed, names, take, until_nul};
use crate::event::{Bytes, Privilege};

const KIND: &str = "privilege";

/// Decodes the bytes behind the record's header.
///
/// # Errors
/// When the record is cut or names an unknown call.
pub fn decode(body: &[u8]) -> Result<Privilege, ConvertError> {
    let (record, mut rest) = fixed::<PrivilegeRecord>(KIND, body)?;
    let call = CALLS
        .get(usize::from(record.call))
        .ok_or(ConvertError::Unknown {
            kind: KIND,
            field: "call",
            value: record.call.into(),
        })?;
    let texts = [
        until_nul(take(KIND, &mut rest, record.lens[0])?),
        until_nul(take(KIND, &mut rest, record.lens[1])?),
        until_nul(take(KIND, &mut rest, record.lens[2])?),
    ];
    // Failures are -1 to -4095; everything else is a result.
    let failed = (-4095..0).contains(&record.ret);
    Ok(Privilege {
        call: call.name.to_owned(),
        args: record.args.to_vec(),
        detail: detail(call.name, &record.args, &texts),
        errno: if failed {
            u16::try_from(-record.ret).unwrap_or(u16::MAX)
        } else {
            0
        },
        ret: if failed { 0 } else { record.ret },
        uid: record.uid,
        comm: until_nul(&record.comm),
        runtime: record.flags & flag::RUNTIME != 0,
    })
}

/// The arguments as text, the most important first, separated by blanks.
fn detail(call: &str, args: &[u64; 4], texts: &[Bytes; 3]) -> Bytes {
    let mut out = Detail::default();
    match call {
        "mount" => {
            // source target type flags
            texts.iter().for_each(|t| out.text(t));
            out.word(&names::flags(mount_flags(args[3]), names::MOUNT));
        }
        "umount2" => {
            out.text(&texts[0]);
            out.word(&names::flags(args[1], names::UMOUNT));
        }
        "unshare" => {
            out.word(&names::flags(args[0] & !other_unshare(), names::NAMESPACES));
            out.word(&names::flags(args[0] & other_unshare(), names::UNSHARE));
        }
        "clone" | "clone3" => {
            out.word(&names::flags(args[0] & namespaces(), names::NAMESPACES));
        }
        "setns" => {
            // No type given: any namespace, or a pidfd's.
            out.word(&names::flags(args[1], names::NAMESPACES));
        }
        "ptrace" => {
            out.word(&names::ptrace(args[0]));
            if args[0] != 0 {
                out.word(&format!("pid {}", args[1] & 0xffff_ffff));
            }
        }
        "process_vm_readv" | "process_vm_writev" => out.word(&format!("pid {}", low(args[0]))),
        "bpf" => out.word(&names::bpf(low(args[0]))),
        "leave-cgroup" => out.word(&format!("cgroup {}", args[0])),
        "keyctl" => out.word(&names::keyctl(low(args[0]))),
        "memfd_create" => {
            out.text(&texts[0]);
            out.word(&names::flags(low(args[1]), names::MEMFD));
        }
        "setuid" | "setgid" | "setfsuid" | "setfsgid" => out.word(&id(args[0])),
        "setreuid" | "setregid" => args[..2].iter().for_each(|a| out.word(&id(*a))),
        "setresuid" | "setresgid" => args[..3].iter().for_each(|a| out.word(&id(*a))),
        // Its number in the 32-bit table.
        "compat" => out.word(&format!("call {}", low(args[0]))),
        "personality" => {
            out.word(if args[0] & 0x004_0000 == 0 {
                ""
            } else {
                "ADDR_NO_RANDOMIZE"
            });
        }
        _ => texts.iter().for_each(|t| out.text(t)),
    }
    Bytes::from(out.0)
}

#[derive(Default)]
struct Detail(Vec<u8>);

impl Detail {
    fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push(b' ');
        }
        self.0.extend_from_slice(text);
    }

    fn word(&mut self, word: &str) {
        self.text(word.as_bytes());
    }
}

fn low(value: u64) -> u64 {
    value & 0xffff_ffff
}

/// A user or group id argument; all ones means "unchanged".
fn id(value: u64) -> String {
    match low(value) {
        0xffff_ffff => "-".to_owned(),
        id => id.to_string(),
    }
}

/// Old programs put a magic number in the upper half of the flags.
fn mount_flags(flags: u64) -> u64 {
    if flags & 0xffff_0000 == 0xc0ed_0000 {
        flags & 0xffff
    } else {
        flags
    }
}

fn other_unshare() -> u64 {
    names::UNSHARE.iter().fold(0, |all, (bit, _)| all | bit)
}

fn namespaces() -> u64 {
    names::NAMESPACES
        .iter()
        // The lowest bits of clone's flags are the exit signal: 0x80 is not a namespace there.
        .filter(|(bit, _)| *bit != 0x80)
        .fold(0, |all, (bit, _)| all | bit)
}

#[cfg(test)]
mod tests {
    use hullwatch_abi::privilege::id;

    use super::*;

    fn fact(call: u8, args: [u64; 4], ret: i64, texts: [&[u8]; 3]) -> Privilege {
        decode(&bytes(call, args, ret, texts)).unwrap()
    }

    fn bytes(call: u8, args: [u64; 4], ret: i64, texts: [&[u8]; 3]) -> Vec<u8> {
        let record = PrivilegeRecord {
            call,
            args,
            ret,
            lens: texts.map(|t| u16::try_from(t.len()).unwrap()),
            flags: flag::RUNTIME,
            ..Default::default()
        };
        let mut all = bytemuck::bytes_of(&record).to_vec();
        texts.iter().for_each(|t| all.extend_from_slice(t));
        all
    }

    #[test]
    fn mount_names_source_target_type_and_flags() {
        let f = fact(
            id::MOUNT,
            [1, 2, 3, 0x1000],
            -1,
            [b"/dev/vda", b"/mnt \xff", b"ext4"],
        );
        assert_eq!(f.call, "mount");
        assert_eq!(&**f.detail, b"/dev/vda /mnt \xff ext4 MS_BIND");
        assert_eq!((f.errno, f.ret), (1, 0));
        assert!(f.runtime);
    }

    #[test]
    fn numbers_get_their_names() {
        let none: [&[u8]; 3] = [b"", b"", b""];
        let detail = |call, args| fact(call, args, 0, none).detail;
        assert_eq!(
            detail(id::UNSHARE, [0x1002_0200, 0, 0, 0]),
            "CLONE_NEWNS|CLONE_NEWUSER CLONE_FS"
        );
        assert_eq!(
            detail(id::CLONE, [0x2000_0000 | 17 | 0x80, 0, 0, 0]),
            "CLONE_NEWPID"
        );
        assert_eq!(detail(id::PTRACE, [16, 1, 0, 0]), "PTRACE_ATTACH pid 1");
        assert_eq!(detail(id::PTRACE, [0, 0, 0, 0]), "PTRACE_TRACEME");
        assert_eq!(detail(id::SETRESUID, [u64::MAX, 0, 33, 0]), "- 0 33");
        assert_eq!(detail(id::BPF, [5, 0, 0, 0]), "BPF_PROG_LOAD");
        assert_eq!(
            detail(id::PERSONALITY, [0x4_0000, 0, 0, 0]),
            "ADDR_NO_RANDOMIZE"
        );
        assert_eq!(
            fact(id::MEMFD_CREATE, [0, 1, 0, 0], 5, [b"a\0junk", b"", b""]).detail,
            "a MFD_CLOEXEC"
        );
        assert_eq!(
            fact(id::CHROOT, [0; 4], 0, [b"/host", b"", b""]).detail,
            "/host"
        );
    }

    #[test]
    fn a_large_result_is_no_error() {
        let f = fact(id::KEYCTL, [0; 4], -5000, [b"", b"", b""]);
        assert_eq!((f.errno, f.ret), (0, -5000));
    }

    #[test]
    fn cut_and_unknown_records_are_errors() {
        let whole = bytes(id::CHROOT, [0; 4], 0, [b"/host", b"", b""]);
        for len in 0..whole.len() {
            assert!(decode(&whole[..len]).is_err(), "{len}");
        }
        assert!(decode(&bytes(255, [0; 4], 0, [b"", b"", b""])).is_err());
    }

    #[test]
    fn the_table_of_calls_is_sound() {
        assert_eq!(CALLS[usize::from(id::MOUNT)].name, "mount");
        assert_eq!(CALLS[usize::from(id::IOPERM)].name, "ioperm");
        let mut seen = std::collections::BTreeSet::new();
        for call in CALLS {
            assert!(call.texts.len() <= 3);
            for number in [(0, call.x86_64), (1, call.aarch64)] {
                if let (arch, Some(n)) = number {
                    assert!(n < 512 && seen.insert((arch, n)), "{}", call.name);
                }
            }
        }
    }
}
