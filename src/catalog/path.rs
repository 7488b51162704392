//! Parts of a path, by its text alone.

/// The last component of a path.
#[must_use]
pub(crate) fn leaf(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// The directory of a path, without a final slash; `/` for files at the root.
#[must_use]
pub(crate) fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        Some(0) | None => b"/",
        Some(end) => path.get(..end).unwrap_or(b"/"),
    }
}

/// The last two components of a path: the name of its directory and its own.
#[must_use]
pub(crate) fn parent_and_leaf(path: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = path.rsplit(|b| *b == b'/');
    let leaf = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default(), leaf)
}

/// Whether `part` occurs anywhere in `path`.
#[must_use]
pub(crate) fn contains(path: &[u8], part: &[u8]) -> bool {
    path.windows(part.len()).any(|w| w == part)
}

/// The path without `.`, `..` and doubled slashes. Links are not followed.
#[must_use]
pub(crate) fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    out
}

/// The absolute form of `path`, which is relative to `directory` unless it begins with a slash.
#[must_use]
pub(crate) fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        normal(path)
    } else {
        normal(&[directory, b"/", path].concat())
    }
}

/// Whether a path is a directory or is below it.
#[must_use]
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path == directory
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with(b"/") || directory == b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths() {
        assert_eq!(leaf(b"/a/b"), b"b");
        assert_eq!(leaf(b"b"), b"b");
        assert_eq!(directory(b"/a/b"), b"/a");
        assert_eq!(directory(b"/a"), b"/");
        assert_eq!(parent_and_leaf(b"/a/b/c"), (&b"b"[..], &b"c"[..]));
        assert_eq!(parent_and_leaf(b"c"), (&b""[..], &b"c"[..]));
        assert_eq!(normal(b"/a//./b/../../../c"), b"/c");
        assert_eq!(absolute(b"/a", b"../b"), b"/b");
        assert_eq!(absolute(b"/a", b"/c/"), b"/c");
    }
}
