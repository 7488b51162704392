//! Records of the kernel programs → facts of the event stream; one file per kind.

pub mod capability;
pub mod dns;
pub mod entry;
pub mod file;
mod file_attribute;
pub mod file_facts;
pub mod names;
pub mod net;
pub mod path;
pub mod privilege;
pub mod syscall;
pub mod task;

use crate::event::Bytes;

/// Why a record could not be decoded. Each is counted as a loss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Fewer bytes than the record's own lengths say.
    #[error("{kind} record cut: {have} bytes where {want} are needed")]
    Short {
        /// Which record.
        kind: &'static str,
        /// Available bytes.
        have: usize,
        /// Bytes needed.
        want: usize,
    },
    /// A number that no version of this program writes.
    #[error("{kind} record with unknown {field} {value}")]
    Unknown {
        /// Which record.
        kind: &'static str,
        /// Which field.
        field: &'static str,
        /// The value.
        value: u32,
    },
    /// The kernel's record is whole, but the network data in it is invalid.
    #[error("{kind} record with a malformed message: {what}")]
    Malformed {
        /// Which record.
        kind: &'static str,
        /// The error.
        what: &'static str,
    },
}

/// Splits a fixed record off the front of `bytes`, which need not be aligned.
fn fixed<'a, R: bytemuck::AnyBitPattern>(
    kind: &'static str,
    bytes: &'a [u8],
) -> Result<(R, &'a [u8]), ConvertError> {
    let want = size_of::<R>();
    let (head, rest) = bytes.split_at_checked(want).ok_or(ConvertError::Short {
        kind,
        have: bytes.len(),
        want,
    })?;
    Ok((bytemuck::pod_read_unaligned(head), rest))
}

/// Splits `len` bytes off the front of `rest`.
fn take<'a>(kind: &'static str, rest: &mut &'a [u8], len: u16) -> Result<&'a [u8], ConvertError> {
    let (head, tail) = rest
        .split_at_checked(usize::from(len))
        .ok_or(ConvertError::Short {
            kind,
            have: rest.len(),
            want: usize::from(len),
        })?;
    *rest = tail;
    Ok(head)
}

/// Everything before the first NUL.
fn until_nul(bytes: &[u8]) -> Bytes {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    Bytes::new(&bytes[..end])
}
