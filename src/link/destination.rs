//! The other host and the command line that runs there.

use std::fmt;
use std::str::FromStr;

/// Runs its arguments as root: directly, or by sudo, which asks for a password on standard error, with a
/// prompt of our own, and reads it from standard input. Without single quotes, as it is quoted by them.
const AS_ROOT: &str =
    r#"p=$1; shift; if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -S -p "$p" -- "$@""#;

/// Characters that a shell obeys; ssh may pass the name to one (ProxyCommand).
const REFUSED: &str = "'`\"$\\;&<>|(){}*?!#~";

/// A host as ssh knows it: `host`, `user@host`, or `ssh://user@host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(String);

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        if host.is_empty() || user == Some("") {
            return Err("write user@host, or a host of ~/.ssh/config".to_owned());
        }
        // Otherwise ssh would take it for an option.
        if [Some(text), user, Some(host)]
            .into_iter()
            .flatten()
            .any(|part| part.starts_with('-'))
        {
            return Err("a user or host must not begin with -".to_owned());
        }
        let refused = |c: char| !c.is_ascii_graphic() || REFUSED.contains(c);
        if let Some(c) = rest.chars().find(|c| refused(*c)) {
            return Err(format!("a user or host must not contain {c:?}"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Destination {
    /// The arguments of ssh. `prompt`: how sudo asks for a password; `words`: the command there, which
    /// must not contain control characters. `again`: ssh must not ask, since the screen is shown.
    pub(super) fn arguments(&self, prompt: &str, words: &[String], again: bool) -> Vec<String> {
        const OPTIONS: [&str; 10] = [
            "RequestTTY=no",
            "RemoteCommand=none",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "ForwardX11=no",
            "ControlMaster=no",
            // The stream is compressed.
            "Compression=no",
            "ConnectTimeout=15",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
        ];
        let mut arguments = vec!["-T".to_owned()];
        for option in OPTIONS.into_iter().chain(again.then_some("BatchMode=yes")) {
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        arguments.extend(["--".to_owned(), self.0.clone()]);
        arguments.push(remote_line(prompt, words));
        arguments
    }
}

/// The command line for the login shell of the other host, whichever it is.
fn remote_line(prompt: &str, words: &[String]) -> String {
    // The shell's own messages begin with its name: it must not be the prompt.
    let mut line = format!("exec /bin/sh -c '{AS_ROOT}' sh {}", quoted(prompt));
    for word in words {
        line.push(' ');
        line.push_str(&quoted(word));
    }
    line
}

/// A word in single quotes, for any shell. `quote` is for bash and its like only.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether a word arrives unchanged whatever the login shell of the other host is: not every shell takes
/// a backslash or an exclamation mark literally.
#[must_use]
pub fn can_be_passed(word: &str) -> bool {
    !word.chars().any(|c| c.is_control() || "'\\!".contains(c))
}

/// The name of a session: the screen and its collector find each other by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        let (filled, _) =
            rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
                .map(|count| bytes.split_at(count))?;
        match filled.len() == bytes.len() {
            true => Ok(Self(crate::text::hex(&bytes))),
            false => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl FromStr for SessionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(Self(text.to_owned())),
            false => Err("expected 32 hexadecimal digits".to_owned()),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_destination_is_never_an_option_nor_for_a_shell() {
        for text in [
            "host",
            "ann@host",
            "root@10.0.0.1",
            "ssh://ann@host:2222",
            "ann@example.com@host",
            "fe80::1%eth0",
            "[::1]",
        ] {
            assert!(text.parse::<Destination>().is_ok(), "{text}");
        }
        for text in [
            "",
            "@host",
            "ann@",
            "-oProxyCommand=id",
            "-oProxyCommand=id@host",
            "ann@-oProxyCommand=id",
            "ssh://-oProxyCommand=id",
            "ssh://ann@-x",
            "ann@host;id",
            "$(id)@host",
            "`id`@host",
            "ann@host x",
            "ann@host\n",
            "ann@h\u{f6}st",
            "ann@host\u{1b}[2J",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        let host: Destination = "ann@host".parse().unwrap();
        let arguments = host.arguments("p", &["hullwatch".to_owned()], true);
        let at = arguments.iter().position(|word| word == "--").unwrap();
        assert_eq!(arguments[at + 1], "ann@host");
        assert_eq!(arguments.len(), at + 3);
        assert!(arguments.contains(&"BatchMode=yes".to_owned()));
        assert!(
            !host
                .arguments("p", &[], false)
                .contains(&"BatchMode=yes".to_owned())
        );
    }

    #[test]
    fn every_word_arrives_there_as_it_is() {
        let hostile = [
            "",
            "a b",
            "$(touch /tmp/x)",
            "`id`",
            "\"",
            "*",
            "!x",
            "-rf",
            ";",
        ];
        let mut words = vec!["printf".to_owned(), "%s@".to_owned()];
        words.extend(hostile.map(str::to_owned));
        // sudo does the same as this here; the test may run as root, which needs none.
        let dir = tempfile::tempdir().unwrap();
        let sudo = dir.path().join("sudo");
        std::fs::write(
            &sudo,
            "#!/bin/sh\n[ \"$1 $2\" = \"-S -p\" ] && shift 4 && exec \"$@\"\n",
        )
        .unwrap();
        let id = dir.path().join("id");
        std::fs::write(&id, "#!/bin/sh\necho ${TEST_UID:-0}\n").unwrap();
        for file in [&sudo, &id] {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        for (shell, uid) in [("sh", "0"), ("bash", "0"), ("sh", "1000")] {
            let mut command = Command::new(shell);
            command.arg("-c").arg(remote_line("the prompt: ", &words));
            let out = command
                .env("PATH", &path)
                .env("TEST_UID", uid)
                .output()
                .unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            let got: Vec<&str> = text.split_terminator('@').collect();
            assert_eq!(got, hostile, "{shell} {uid}");
            assert!(out.stderr.is_empty());
        }
    }

    #[test]
    fn words_that_some_shells_change_are_not_passed() {
        assert!(can_be_passed("/etc/a b;$(id).toml"));
        for word in ["it's", "x!y", "back\\slash", "a\nb", "\u{1b}[2J"] {
            assert!(!can_be_passed(word), "{word}");
        }
    }

    #[test]
    fn sessions_differ() {
        let one = SessionId::random().unwrap();
        assert_ne!(one, SessionId::random().unwrap());
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!("../../etc".parse::<SessionId>().is_err());
    }
}
