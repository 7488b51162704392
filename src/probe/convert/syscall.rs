//! Records of first system calls.

use hullwatch_abi::syscall::SyscallRecord;

use super::{ConvertError, fixed, until_nul};
use crate::event::Syscall;

/// The kernel's name of a native call, as libseccomp has it.
fn name(number: u32) -> String {
    let known = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(
        || format!("syscall_{number}"),
        |call| call.name().to_owned(),
    )
}

/// Decodes the bytes behind the record's header.
///
/// # Errors
/// When the record is cut.
pub fn decode(body: &[u8]) -> Result<Syscall, ConvertError> {
    let (record, _) = fixed::<SyscallRecord>("syscall", body)?;
    Ok(Syscall {
        name: name(record.nr),
        errno: u16::try_from(record.errno).unwrap_or(0),
        comm: until_nul(&record.comm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_call() {
        let mut record = SyscallRecord {
            nr: u32::try_from(libc::SYS_openat).unwrap(),
            errno: 2,
            ..Default::default()
        };
        record.comm[..2].copy_from_slice(b"sh");
        let fact = decode(bytemuck::bytes_of(&record)).unwrap();
        assert_eq!((fact.name.as_str(), fact.errno), ("openat", 2));
        assert_eq!(fact.comm, "sh");
        assert_eq!(name(511), "syscall_511");
        assert!(decode(&[0; 23]).is_err());
    }
}
