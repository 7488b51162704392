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

impl Call {
    /// An argument by its place; a place out of range, as `NONE` is, gives none.
    #[inline(always)]
    pub fn argument(&self, place: u8) -> Option<u64> {
        match place {
            0 => Some(self.args[0]),
            1 => Some(self.args[1]),
            2 => Some(self.args[2]),
            3 => Some(self.args[3]),
            4 => Some(self.args[4]),
            5 => Some(self.args[5]),
            _ => None,
        }
    }
}
