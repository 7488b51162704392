//! The capabilities that a file gives to whoever executes it: its attribute `security.capability`.

use super::Capability;

/// The bytes of the attribute (`struct vfs_cap_data`, revisions 1 to 3) as `getcap` writes them:
/// `cap_net_raw=ep`; `None` for other bytes.
#[must_use]
pub fn file_capabilities(value: &[u8]) -> Option<String> {
    let mut words = value.chunks_exact(4).map(|word| {
        word.iter()
            .rev()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte))
    });
    let magic = words.next()?;
    // The first revision has one pair of words, later ones two.
    let halves = if magic >> 24 == 1 { 1 } else { 2 };
    let (mut permitted, mut inheritable) = (0, 0);
    for half in 0..halves {
        permitted |= words.next()? << (32 * half);
        inheritable |= words.next()? << (32 * half);
    }
    let all = permitted | inheritable;
    let list: Vec<String> = (0..64)
        .filter(|bit| all >> bit & 1 == 1)
        .map(|bit| match Capability::name_of(bit) {
            name if name.starts_with("CAP_") => name.to_ascii_lowercase(),
            name => format!("cap_{}", name.to_ascii_lowercase()),
        })
        .collect();
    let sets = [
        (magic & 1 != 0, 'e'),
        (inheritable != 0, 'i'),
        (permitted != 0, 'p'),
    ];
    let sets: String = sets
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, set)| *set)
        .collect();
    Some(format!("{}={sets}", list.join(",")))
}

/// The names, as of [`Capability`], in such a text that a process gets by the exec; none where the file only
/// lets it keep what it inherits.
#[must_use]
pub fn gained_capabilities(text: &str) -> Vec<String> {
    let Some((names, sets)) = text.split_once('=') else {
        return Vec::new();
    };
    if !sets.contains('p') {
        return Vec::new();
    }
    let names = names
        .split(',')
        .filter_map(|name| name.strip_prefix("cap_"));
    names.map(str::to_ascii_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_read_in_each_revision() {
        // CAP_NET_RAW (13) and CAP_BPF (39), permitted and effective.
        let second = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0,
        ];
        let third = [&[1, 0, 0, 3], &second[4..], &[0, 0, 1, 0]].concat();
        let first = [0, 0, 0, 1, 0, 0x20, 0, 0, 0, 0, 0, 0];
        for (bytes, text, gained) in [
            (
                &second[..],
                "cap_net_raw,cap_bpf=ep",
                &["NET_RAW", "BPF"][..],
            ),
            (&third, "cap_net_raw,cap_bpf=ep", &["NET_RAW", "BPF"]),
            (&first, "cap_net_raw=p", &["NET_RAW"]),
        ] {
            assert_eq!(file_capabilities(bytes).as_deref(), Some(text));
            assert_eq!(gained_capabilities(text), gained);
        }
        for cut in 0..second.len() {
            assert_eq!(file_capabilities(&second[..cut]), None);
        }
        assert!(gained_capabilities("cap_net_raw=i").is_empty());
        assert!(gained_capabilities("").is_empty());
    }
}
