//! Names that resolve through a descriptor of the process itself: `/proc/self/fd/3/x`,
//! `/dev/fd/3/x`.

use aya_ebpf::helpers::{bpf_probe_read_kernel_str_bytes, bpf_probe_read_user_str_bytes};

use crate::{call::Call, facts::key};

/// Longest prefix that is examined: a directory, a number, a slash. A pid below `/proc` is not
/// examined, since its process is unknown here.
const LONGEST: usize = 32;
/// Six bytes of a word.
const SIX: u64 = 0xffff_ffff_ffff;

/// The descriptor through which an absolute name resolves, and the offset of the rest of the name.
#[inline(always)]
pub fn named(call: &Call, text: u64) -> Option<(i32, u64)> {
    let mut begins = [0_u8; LONGEST];
    // SAFETY: the helpers check the address. A longer name is cut.
    unsafe {
        if call.ring {
            bpf_probe_read_kernel_str_bytes(text as *const u8, &mut begins)
        } else {
            bpf_probe_read_user_str_bytes(text as *const u8, &mut begins)
        }
    }
    .ok()?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, ..] = begins;
    let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let second = u64::from_le_bytes([i, j, k, l, m, n, 0, 0]) & SIX;
    if first == key(b"/dev/fd/") {
        let [_, _, _, _, _, _, _, _, rest @ ..] = begins;
        return number(rest[..8].try_into().ok()?, 8);
    }
    if first == key(b"/proc/se") && second == key(b"lf/fd/") {
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, rest @ ..] = begins;
        return number(rest[..8].try_into().ok()?, 14);
    }
    None
}

/// A number of up to seven digits and a slash, at offset `at` of the name.
#[inline(always)]
fn number(digits: [u8; 8], at: u64) -> Option<(i32, u64)> {
    let mut fd = 0_i32;
    let mut digit = 0;
    for byte in digits {
        digit += 1;
        match byte {
            b'0'..=b'9' => fd = fd * 10 + i32::from(byte - b'0'),
            b'/' if digit > 1 => return Some((fd, at + digit)),
            _ => return None,
        }
    }
    None
}
