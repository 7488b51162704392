//! First use of a capability.

use bytemuck::{Pod, Zeroable};

/// A capability was checked for the first time with this result in this cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct CapabilityRecord {
    /// Number of the capability.
    pub cap: u32,
    /// 1 granted, 0 refused.
    pub granted: u32,
    /// Short name of the process.
    pub comm: [u8; 16],
}
