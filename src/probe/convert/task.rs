//! Exec, fork, exit and cgroup records.

use hullwatch_abi::task::{ARGV_MAX, CgroupRecord, ExecRecord, ExitRecord, ForkRecord, flag};

use super::{ConvertError, file_facts, fixed, path, take, until_nul};
use crate::event::{Bytes, Exec, Exit, Fork};

/// Decodes the bytes behind an exec record's header.
///
/// # Errors
/// When the record is cut.
pub fn exec(body: &[u8], ppid: u32, runtime: bool) -> Result<Exec, ConvertError> {
    let (record, mut rest) = fixed::<ExecRecord>("exec", body)?;
    let [exe, cwd, script, argv] = [
        take("exec", &mut rest, record.lens[0])?,
        take("exec", &mut rest, record.lens[1])?,
        take("exec", &mut rest, record.lens[2])?,
        take("exec", &mut rest, record.lens[3])?,
    ];
    // Arguments are NUL-terminated; an empty one is an argument too.
    let whole = argv.strip_suffix(&[0]).unwrap_or(argv);
    Ok(Exec {
        ppid,
        uid: record.uid,
        gid: record.gid,
        comm: until_nul(&record.comm),
        exe: Bytes::from(path::anchored(exe, record.flags & flag::EXE_CUT == 0)),
        argv: if argv.is_empty() {
            Vec::new()
        } else {
            whole.split(|byte| *byte == 0).map(Bytes::new).collect()
        },
        argv_bytes: record.argv_bytes,
        argv_cut: record.argv_bytes > ARGV_MAX as u64 || argv.len() as u64 != record.argv_bytes,
        cwd: Bytes::from(path::anchored(cwd, record.flags & flag::CWD_CUT == 0)),
        script: (!script.is_empty()).then(|| Bytes::new(script)),
        file: file_facts::facts(&record.facts),
        tty: record.flags & flag::TTY != 0,
        runtime,
        entered: false,
        fed_by: Vec::new(),
        file_capabilities: String::new(),
        run_by: None,
    })
}

/// Decodes the bytes behind a fork record's header.
///
/// # Errors
/// When the record is cut.
pub fn fork(body: &[u8], ppid: u32, runtime: bool) -> Result<Fork, ConvertError> {
    let (record, _) = fixed::<ForkRecord>("fork", body)?;
    Ok(Fork {
        ppid,
        creator: record.creator,
        uid: record.uid,
        comm: until_nul(&record.comm),
        runtime,
    })
}

/// Decodes the bytes behind an exit record's header.
///
/// # Errors
/// When the record is cut.
pub fn exit(body: &[u8]) -> Result<Exit, ConvertError> {
    let (record, _) = fixed::<ExitRecord>("exit", body)?;
    // Low seven bits: the signal; the byte above: the code.
    let signal = (record.status & 0x7f) as u8;
    Ok(Exit {
        code: (signal == 0).then_some((record.status >> 8 & 0xff) as u8),
        signal: (signal != 0).then_some(signal),
        lived_ns: record.lived_ns,
    })
}

/// Decodes the bytes behind a cgroup record's header: id, parent's id, name.
///
/// # Errors
/// When the record is cut.
pub fn cgroup(body: &[u8]) -> Result<(u64, u64, Bytes), ConvertError> {
    let (record, _) = fixed::<CgroupRecord>("cgroup", body)?;
    Ok((record.id, record.parent, until_nul(&record.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_arguments_and_turns_paths_round() {
        let argv = b"sh\0-c\0\0echo\0";
        let record = ExecRecord {
            argv_bytes: argv.len() as u64,
            lens: [7, 4, 0, u16::try_from(argv.len()).unwrap()],
            ..ExecRecord::default()
        };
        let mut body = bytemuck::bytes_of(&record).to_vec();
        body.extend(b"sh\0bin\0");
        body.extend(b"tmp\0");
        body.extend(argv);
        let exec = exec(&body, 7, false).unwrap();
        assert_eq!(exec.exe, "/bin/sh");
        assert_eq!(exec.cwd, "/tmp");
        assert_eq!(exec.argv.len(), 4);
        assert!(exec.argv[2].is_empty() && exec.argv[3] == "echo");
        assert!(!exec.argv_cut);
    }

    #[test]
    fn reports_a_code_from_a_signal() {
        let status = |status| {
            let record = ExitRecord {
                status,
                ..ExitRecord::default()
            };
            exit(bytemuck::bytes_of(&record)).unwrap()
        };
        assert_eq!(
            (status(3 << 8).code, status(3 << 8).signal),
            (Some(3), None)
        );
        assert_eq!((status(9).code, status(9).signal), (None, Some(9)));
        assert_eq!(status(0x8b).signal, Some(11));
    }
}
