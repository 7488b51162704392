//! Edits of a policy file: adds or removes one silence and leaves the rest byte for byte.

use toml_edit::DocumentMut;

use super::PolicyError;
use crate::event::{Policy, Silence};

impl Policy {
    /// Text of a policy file with one more silence at its end.
    ///
    /// # Errors
    /// When the text is no valid policy, before or after the edit.
    pub fn with_silence(text: &str, silence: &Silence) -> Result<String, PolicyError> {
        Self::parse(text)?;
        let mut out = text.to_owned();
        if !out.is_empty() {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push('\n');
        }
        out.push_str(&silence.to_toml());
        Self::parse(&out)?;
        Ok(out)
    }

    /// Text without the last silence equal to `silence`; `None` when there is none.
    ///
    /// # Errors
    /// When the text is no valid policy.
    pub fn without_silence(text: &str, silence: &Silence) -> Result<Option<String>, PolicyError> {
        let silences = Self::parse(text)?.policy.silence;
        let Some(index) = silences.iter().rposition(|s| s == silence) else {
            return Ok(None);
        };
        let Ok(mut document) = text.parse::<DocumentMut>() else {
            return Ok(None);
        };
        let Some(tables) = document
            .get_mut("silence")
            .and_then(toml_edit::Item::as_array_of_tables_mut)
        else {
            return Ok(None);
        };
        if index >= tables.len() {
            return Ok(None);
        }
        tables.remove(index);
        Ok(Some(document.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Scope;

    const BY_HAND: &str = "# ours\nmax-age = \"9d\"   # not ten\n\n[severity]\n\"file.cron\" = \"low\" # quiet\n\n# the updater\n[[silence]]\nrule = \"drift.*\"\nreason = 'it updates \"itself\"'\n";

    fn silence(subject: &str) -> Silence {
        Silence {
            rule: "file.cron".to_owned(),
            subject: vec![subject.to_owned()],
            scope: Scope {
                container: Some("a\"b".to_owned()),
                ..Scope::default()
            },
            reason: "line\nbreak \u{1b}".to_owned(),
            ..Silence::default()
        }
    }

    #[test]
    fn adding_and_removing_an_entry_leaves_the_rest() {
        for text in ["", "max-age = \"9d\"", BY_HAND] {
            let one = Policy::with_silence(text, &silence("/etc/a")).unwrap();
            assert!(one.starts_with(text));
            let two = Policy::with_silence(&one, &silence("/etc/b")).unwrap();
            let read = Policy::parse(&two).unwrap().policy.silence;
            assert_eq!(read.last(), Some(&silence("/etc/b")));
            let back = Policy::without_silence(&two, &silence("/etc/b")).unwrap();
            assert_eq!(back.unwrap().trim_end(), one.trim_end());
            let none = Policy::without_silence(&one, &silence("/etc/a")).unwrap();
            assert_eq!(none.unwrap().trim_end(), text.trim_end());
        }
        assert_eq!(Policy::without_silence(BY_HAND, &silence("/x")), Ok(None));
        assert!(Policy::with_silence("max-aeg = 1", &silence("/x")).is_err());
    }

    #[test]
    fn an_entry_written_by_hand_can_be_removed() {
        let text = Policy::with_silence(BY_HAND, &silence("/etc/a")).unwrap();
        let theirs = Policy::parse(BY_HAND).unwrap().policy.silence.remove(0);
        let left = Policy::without_silence(&text, &theirs).unwrap().unwrap();
        assert!(left.contains("# not ten") && left.contains("# quiet"));
        assert_eq!(
            Policy::parse(&left).unwrap().policy.silence,
            [silence("/etc/a")]
        );
    }
}
