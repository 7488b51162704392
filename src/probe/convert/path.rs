//! Joins and normalises paths by their text alone, without the file system.

/// Builds an absolute path from what a dentry walk leaves: components leaf first, each followed
/// by NUL. No component is the root.
#[must_use]
pub fn from_leaf_first(components: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(components.len() + 1);
    for part in components.rsplit(|b| *b == 0).filter(|p| !p.is_empty()) {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// Prefix of a path whose beginning was cut, so that it is not taken for an absolute one.
const CUT: &[u8] = "…".as_bytes();

/// Marks a path as one whose beginning was cut.
pub fn mark_cut(path: &mut Vec<u8>) {
    path.splice(..0, CUT.iter().copied());
}

/// [`from_leaf_first`], marked if the walk did not reach the top.
#[must_use]
pub fn anchored(components: &[u8], whole: bool) -> Vec<u8> {
    let mut path = from_leaf_first(components);
    if !whole {
        mark_cut(&mut path);
    }
    path
}

/// `name` relative to directory `base`, with `.`, `..` and doubled slashes removed. `..` at the
/// root stays at the root, as in the kernel. For an absolute name `base` is the process's root.
#[must_use]
pub fn join(base: &[u8], name: &[u8]) -> Vec<u8> {
    let start = base;
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in start
        .split(|b| *b == b'/')
        .chain(name.split(|b| *b == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut path = Vec::with_capacity(start.len() + name.len() + 1);
    for part in parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

/// The path behind `/proc/PID/root` if that is the process's own root: `self`, `thread-self`, or
/// its own number. The path of another process, which may have another root, is kept.
#[must_use]
pub fn through_own_root(path: &[u8], nspid: u32) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(b"/proc/")?;
    let (who, rest) = rest.split_at(rest.iter().position(|b| *b == b'/')?);
    let own = who == b"self"
        || who == b"thread-self"
        || (nspid != 0 && who == nspid.to_string().as_bytes());
    let rest = rest.strip_prefix(b"/root").filter(|_| own)?;
    match rest.first() {
        None => Some(b"/".to_vec()),
        Some(b'/') => Some(
            // The rest may contain it again.
            through_own_root(rest, nspid).unwrap_or_else(|| rest.to_vec()),
        ),
        Some(_) => None,
    }
}

/// Whether the kernel reached `name` from its base in one step, so that no symbolic link can be in
/// between.
#[must_use]
pub fn single_step(name: &[u8]) -> bool {
    !name.is_empty() && name != b".." && !name.contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_first_components_become_a_path() {
        assert_eq!(from_leaf_first(b"c d\0b\n\xff\0a\0"), b"/a/b\n\xff/c d");
        assert_eq!(from_leaf_first(b""), b"/");
    }

    #[test]
    fn joins_like_the_kernel() {
        assert_eq!(join(b"/srv/www", b"../.././../etc//passwd"), b"/etc/passwd");
        assert_eq!(join(b"/srv/jail", b"/abs/./x"), b"/srv/jail/abs/x");
        assert_eq!(join(b"/", b".."), b"/");
        assert_eq!(join(b"/a", b"\x1b[31m \n\xff"), b"/a/\x1b[31m \n\xff");
        assert_eq!(join(b"/a", b"..."), b"/a/...");
    }

    #[test]
    fn a_path_without_its_beginning_is_not_absolute() {
        assert_eq!(anchored(b"j\0cron.d\0etc\0", true), b"/etc/cron.d/j");
        let cut = anchored(b"j\0cron.d\0etc\0", false);
        assert_eq!(cut, "…/etc/cron.d/j".as_bytes());
    }

    #[test]
    fn own_root_is_seen_through_and_others_are_not() {
        let go = |p: &[u8]| through_own_root(p, 42);
        assert_eq!(
            go(b"/proc/self/root/etc/shadow").as_deref(),
            Some(&b"/etc/shadow"[..])
        );
        assert_eq!(go(b"/proc/42/root").as_deref(), Some(&b"/"[..]));
        assert_eq!(
            go(b"/proc/self/root/proc/self/root/x").as_deref(),
            Some(&b"/x"[..])
        );
        assert_eq!(go(b"/proc/1/root/etc/shadow"), None);
        assert_eq!(go(b"/proc/self/rootkit"), None);
        assert_eq!(go(b"/srv/proc/self/root/x"), None);
    }

    #[test]
    fn one_step_only() {
        assert!(single_step(b"a b"));
        assert!(!single_step(b"a/b"));
        assert!(!single_step(b".."));
        assert!(!single_step(b""));
    }
}
