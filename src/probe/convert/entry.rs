//! Records of processes of the host that entered a container's namespaces.

use hullwatch_abi::entry::{ARGV_MAX, EntryRecord, flag};

use super::{ConvertError, fixed, take, until_nul};
use crate::event::{Bytes, Client};
use crate::probe::NamespaceEntry;

/// Arguments kept.
const MAX_WORDS: usize = 32;

/// Decodes the bytes behind the record's header. The user's name is not known yet.
///
/// # Errors
/// When the record is cut.
pub fn decode(body: &[u8], ppid: u32) -> Result<NamespaceEntry, ConvertError> {
    let (record, mut rest) = fixed::<EntryRecord>("entry", body)?;
    let argv = take("entry", &mut rest, record.argv_len)?;
    // An area that was cut does not end with a NUL.
    let whole = if argv.len() < ARGV_MAX {
        argv.strip_suffix(&[0]).unwrap_or(argv)
    } else {
        argv
    };
    let comm = until_nul(&record.comm);
    let mut words: Vec<Bytes> = whole
        .split(|byte| *byte == 0)
        .take(MAX_WORDS)
        .map(Bytes::new)
        .collect();
    if whole.is_empty() {
        words = vec![comm.clone()];
    }
    // All ones: no login.
    let known = record.flags & flag::NO_LOGIN == 0 && record.login_uid != u32::MAX;
    Ok(NamespaceEntry {
        client: Client {
            argv: words,
            uid: record.uid,
            login_uid: known.then_some(record.login_uid),
            user: Bytes::default(),
            tty: tty(&until_nul(&record.tty)),
            entered: None,
            parent: until_nul(&record.parent_comm),
            ppid,
        },
        comm,
        inside: record.flags & flag::INSIDE != 0,
    })
}

/// The kernel calls pseudo terminals `pts3`, people `pts/3`.
fn tty(name: &Bytes) -> Bytes {
    match name.strip_prefix(b"pts") {
        Some(number) if number.first().is_some_and(u8::is_ascii_digit) => {
            Bytes::new(&[b"pts/", number].concat())
        }
        _ => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(argv: &[u8], login_uid: u32) -> Vec<u8> {
        let mut record = EntryRecord {
            uid: 0,
            login_uid,
            argv_len: u16::try_from(argv.len()).unwrap(),
            flags: flag::INSIDE,
            ..EntryRecord::default()
        };
        record.comm[..7].copy_from_slice(b"nsenter");
        record.parent_comm[..4].copy_from_slice(b"bash");
        record.tty[..4].copy_from_slice(b"pts3");
        [bytemuck::bytes_of(&record), argv].concat()
    }

    #[test]
    fn reports_the_entering_process_and_its_parent() {
        let entry = decode(&bytes(b"nsenter\0-t\x007\0-m\0", 1000), 70).unwrap();
        let client = &entry.client;
        assert_eq!(client.argv, ["nsenter", "-t", "7", "-m"].map(Bytes::from));
        assert_eq!((client.uid, client.login_uid), (0, Some(1000)));
        assert_eq!((&*client.parent, client.ppid), (&*Bytes::from("bash"), 70));
        assert_eq!(client.tty, "pts/3");
        assert!(entry.inside && entry.comm == "nsenter");
    }

    #[test]
    fn without_arguments_or_a_login_its_name_is_what_is_known() {
        let entry = decode(&bytes(b"", u32::MAX), 1).unwrap();
        assert_eq!(entry.client.argv, [Bytes::from("nsenter")]);
        assert_eq!(entry.client.login_uid, None);
        assert_eq!(tty(&Bytes::from("ptsx")), "ptsx");
        assert_eq!(tty(&Bytes::from("tty1")), "tty1");
    }

    #[test]
    fn a_cut_record_is_an_error() {
        let whole = bytes(b"nsenter\0", 0);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length], 1).is_err(), "{length}");
        }
    }
}
