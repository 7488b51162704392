//! First use of a system call.

use bytemuck::{Pod, Zeroable};

/// A container's own processes, or those of exec sessions, made a call for the first time.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SyscallRecord {
    /// Native number of the call.
    pub nr: u32,
    /// 0, or the errno of the refusal (positive).
    pub errno: u32,
    /// Short name of the process.
    pub comm: [u8; 16],
}
