//! Decodes records of attribute changes: extended attributes, inode flags, times.

use hullwatch_abi::file::{FileRecord, ioctl};

use super::names;
use crate::event::{Bytes, FileAttribute, FileOp, Timestamp, file_capabilities};

/// The attribute that an operation changed; `None` for one that changes content, name or mode.
pub(super) fn of(
    op: FileOp,
    record: &FileRecord,
    name: &[u8],
    value: &[u8],
) -> Option<FileAttribute> {
    match op {
        FileOp::SetXattr | FileOp::RemoveXattr => Some(xattr(name, value)),
        FileOp::Chattr => Some(inode_flags(record)),
        FileOp::SetTimes => Some(time(record)),
        _ => None,
    }
}

/// An extended attribute; capabilities by name, any other value unchanged.
fn xattr(name: &[u8], value: &[u8]) -> FileAttribute {
    let capabilities = || {
        (name == b"security.capability")
            .then(|| file_capabilities(value))
            .flatten()
    };
    FileAttribute {
        name: Bytes::new(name),
        value: capabilities().map_or_else(|| Bytes::new(value), |text| Bytes::from(text.as_str())),
    }
}

/// Inode flags after the change, by name.
fn inode_flags(record: &FileRecord) -> FileAttribute {
    let table = if record.call_flags == ioctl::SET_XFLAGS {
        names::INODE_XFLAGS
    } else {
        names::INODE_FLAGS
    };
    FileAttribute {
        name: Bytes::new(FileAttribute::FLAGS),
        value: Bytes::from(names::flags(record.mode.into(), table).as_str()),
    }
}

/// The time that was set, to the second.
fn time(record: &FileRecord) -> FileAttribute {
    let seconds = i64::from(record.call_flags.cast_signed()) << 32 | i64::from(record.mode);
    let time = Timestamp(seconds.saturating_mul(1_000_000_000)).to_jiff();
    FileAttribute {
        name: Bytes::new(FileAttribute::TIME),
        value: Bytes::from(time.to_string().as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_joined_of_two_halves() {
        for (seconds, expected) in [
            (1_546_300_800_i64, "2019-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (5_000_000_000, "2128-06-11T08:53:20Z"),
        ] {
            let record = FileRecord {
                mode: seconds as u32,
                call_flags: (seconds >> 32) as u32,
                ..FileRecord::default()
            };
            assert_eq!(time(&record).value, expected);
        }
    }
}
