//! A finished system call, as the dispatcher hands it to the program of its class.

/// Number, arguments and result.
pub struct Call {
    /// System call number.
    pub nr: u32,
    /// Arguments as passed.
    pub args: [u64; 6],
    /// Result; -1 to -4095 is a refusal.
    pub ret: i64,
}
