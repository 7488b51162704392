//! Capability records.

use hullwatch_abi::capability::CapabilityRecord;

use super::{ConvertError, fixed, until_nul};
use crate::event::Capability;

/// Decodes the bytes behind the record's header.
///
/// # Errors
/// When the record is cut.
pub fn decode(body: &[u8]) -> Result<Capability, ConvertError> {
    let (record, _) = fixed::<CapabilityRecord>("capability", body)?;
    Ok(Capability {
        name: Capability::name_of(record.cap),
        granted: record.granted != 0,
        comm: until_nul(&record.comm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_capability() {
        let mut record = CapabilityRecord {
            cap: 21,
            granted: 1,
            ..Default::default()
        };
        record.comm[..2].copy_from_slice(b"sh");
        let fact = decode(bytemuck::bytes_of(&record)).unwrap();
        assert_eq!((fact.name.as_str(), fact.granted), ("SYS_ADMIN", true));
        assert_eq!(fact.comm, "sh");
        assert!(decode(&[0; 23]).is_err());
    }
}
