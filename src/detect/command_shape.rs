//! The shape of a command: the command without the parts that differ from run to run.

use crate::event::Bytes;

/// Bytes of a command that identify it.
const MAX_SHAPE: usize = 512;

/// The arguments, with `#` for the digits at the end of a word of lower-case letters and for any
/// other word that has a digit in it. The program's own name stays.
#[must_use]
pub(crate) fn of(argv: &[Bytes]) -> Vec<Bytes> {
    let mut left = MAX_SHAPE;
    let mut shapes = Vec::with_capacity(argv.len().min(16));
    for (place, argument) in argv.iter().enumerate() {
        if left == 0 {
            break;
        }
        let argument = argument.get(..argument.len().min(left)).unwrap_or(argument);
        left = left.saturating_sub(argument.len().max(1));
        shapes.push(if place == 0 {
            argument.into()
        } else {
            of_text(argument).into()
        });
    }
    shapes
}

fn of_text(text: &[u8]) -> Vec<u8> {
    let mut shape = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        let length = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let (word, after) = rest.split_at(length.max(1));
        rest = after;
        if length == 0 {
            shape.push(*first);
            continue;
        }
        if !word.iter().any(u8::is_ascii_digit) {
            shape.extend_from_slice(word);
            continue;
        }
        let letters = word.iter().take_while(|b| b.is_ascii_lowercase()).count();
        let (letters, digits) = word.split_at(letters);
        if digits.iter().all(u8::is_ascii_digit) {
            shape.extend_from_slice(letters);
        }
        shape.push(b'#');
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<Bytes> {
        of(&["sh".into(), "-c".into(), text.into()])
    }

    #[test]
    fn commands_of_one_shape_differ_in_words_with_digits() {
        let archive = |segment: &str| shape(&format!("cp pg_wal/{segment} /archive/{segment}"));
        assert_eq!(
            archive("000000010000000000000001"),
            archive("00000001000000000000002A")
        );
        assert_ne!(archive("1"), shape("cp pg_wal/1 /srv/1"));
        assert_eq!(shape("sort /tmp/x.aB3xY9"), shape("sort /tmp/x.z9Q1aa"));
        assert_eq!(shape("echo h12 >>/srv/hosts")[2], "echo h# >>/srv/hosts");
        assert_ne!(shape("ping 10.0.0.1"), shape("ping 10.0.0.1; id"));
        assert_eq!(of(&["python3".into(), "x2".into()]), ["python3", "x#"]);
    }

    #[test]
    fn shapes_are_bounded() {
        let long: Vec<Bytes> = (0..10_000)
            .map(|_| "a1".repeat(1000).as_str().into())
            .collect();
        let bytes: usize = of(&long).iter().map(|a| a.len()).sum();
        assert!(bytes <= MAX_SHAPE, "{bytes}");
    }
}
