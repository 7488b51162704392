//! Patterns of secret files' names, as the kernel programs compare them: the first eight bytes
//! and the length of the last two components.
#![allow(unsafe_code)]

use bytemuck::{Pod, Zeroable};

/// Maximum number of patterns.
pub const NAMES_MAX: usize = 64;
/// Lengths of names that [`SecretNames::by_length`] distinguishes; longer ones share the last.
pub const LENGTHS: usize = 64;

/// One pattern.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct SecretKey {
    /// First eight bytes of the file's name, as a little-endian number.
    pub leaf: u64,
    /// Which bits of the name are compared.
    pub leaf_mask: u64,
    /// The eight bytes of the directory's name.
    pub parent: u64,
    /// Which bits of the directory's name are compared.
    pub parent_mask: u64,
    /// Length of the file's name; 0: any.
    pub leaf_len: u32,
    /// Length of the directory's name; 0: any.
    pub parent_len: u32,
}

impl SecretKey {
    const EMPTY: Self = Self {
        leaf: 0,
        leaf_mask: 0,
        parent: 0,
        parent_mask: 0,
        leaf_len: 0,
        parent_len: 0,
    };

    /// The pattern for a file's name and its directory's. Each is a whole name, a prefix followed
    /// by `*`, or `*` for any. Bytes after a `*`, and after the eighth byte, are not compared here.
    #[must_use]
    pub fn new(parent: &[u8], leaf: &[u8]) -> Self {
        let (leaf, leaf_mask, leaf_len) = part(leaf);
        let (parent, parent_mask, parent_len) = part(parent);
        Self {
            leaf,
            leaf_mask,
            parent,
            parent_mask,
            leaf_len,
            parent_len,
        }
    }
}

/// Bytes, mask and length of one name.
fn part(pattern: &[u8]) -> (u64, u64, u32) {
    let star = pattern.iter().position(|byte| *byte == b'*');
    let head = &pattern[..star.unwrap_or(pattern.len())];
    let (mut bytes, mut mask) = ([0; 8], [0; 8]);
    for ((byte, bits), from) in bytes.iter_mut().zip(&mut mask).zip(head) {
        *byte = *from;
        *bits = 0xff;
    }
    let length = if star.is_some() { 0 } else { pattern.len() };
    (
        u64::from_le_bytes(bytes),
        u64::from_le_bytes(mask),
        u32::try_from(length).unwrap_or(u32::MAX),
    )
}

/// All patterns, and for each property of a name the set of patterns that it can match: bit `i`
/// represents `keys[i]`. So most names are rejected after three look-ups.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct SecretNames {
    /// By the first byte of the file's name.
    pub by_leaf: [u64; 256],
    /// By the first byte of the directory's name.
    pub by_parent: [u64; 256],
    /// By the length of the file's name.
    pub by_length: [u64; LENGTHS],
    /// The patterns.
    pub keys: [SecretKey; NAMES_MAX],
}

impl SecretNames {
    /// No pattern.
    pub const NONE: Self = Self {
        by_leaf: [0; 256],
        by_parent: [0; 256],
        by_length: [0; LENGTHS],
        keys: [SecretKey::EMPTY; NAMES_MAX],
    };

    /// The table of these patterns; `None` when there are more than [`NAMES_MAX`].
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = SecretKey>) -> Option<Self> {
        let mut table = Self::NONE;
        for (place, key) in patterns.into_iter().enumerate() {
            *table.keys.get_mut(place)? = key;
            let bit = 1 << place;
            for byte in 0..=255_u8 {
                let fits = |mask: u64, bytes: u64| u64::from(byte) & mask == bytes & 0xff & mask;
                if fits(key.leaf_mask & 0xff, key.leaf) {
                    table.by_leaf[usize::from(byte)] |= bit;
                }
                if fits(key.parent_mask & 0xff, key.parent) {
                    table.by_parent[usize::from(byte)] |= bit;
                }
            }
            for (length, set) in table.by_length.iter_mut().enumerate() {
                let wanted = usize::try_from(key.leaf_len).unwrap_or(usize::MAX);
                if wanted == 0 || wanted.min(LENGTHS - 1) == length {
                    *set |= bit;
                }
            }
        }
        Some(table)
    }
}

#[cfg(feature = "user")]
// SAFETY: plain numbers without padding: it is `bytemuck::Pod`.
unsafe impl aya::Pod for SecretNames {}
