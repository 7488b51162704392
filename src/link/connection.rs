//! One run of ssh: starts the collector's side on the other host, answers sudo, reads the greeting.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::destination::{Destination, SessionId};
use super::protocol::{Hello, PROTOCOL};

/// How much a login script may print before the greeting, bytes.
const MOST_BEFORE: usize = 64 << 10;
/// How much of standard error is kept, bytes.
const MOST_SAID: usize = 8 << 10;
/// A question that stands this long is none that can be answered.
const QUESTION: Duration = Duration::from_secs(5);
/// How long another attempt may take.
const AGAIN: Duration = Duration::from_secs(40);
/// How long the other side may take to end.
const ENDING: Duration = Duration::from_secs(3);
/// How long ssh may take to end then, and when it was asked to.
const CLOSING: Duration = Duration::from_millis(200);
/// Runs its arguments without the signals that the terminal sends: hullwatch gets them as well, and needs
/// ssh to tell the collector there. ssh leaves ignored signals ignored.
const SHIELDED: &str = r#"trap "" HUP INT QUIT; exec "$@""#;

/// Passes lines on to ssh, and says goodbye when hullwatch has ended: it outlives one that was killed, which
/// cannot say it. Before the first line to the collector there is nobody to say it to, but perhaps sudo.
const ANSWERS: &str = r#"trap "" HUP INT QUIT; begun=
while IFS= read -r line; do
    case $line in "from "*) begun=1 ;; esac
    printf "%s\n" "$line"
done
[ -z "$begun" ] || echo bye"#;

/// A password, which is never printed.
pub struct Password(Vec<u8>);

impl Password {
    /// A password as it was typed, without a newline.
    #[must_use]
    pub fn new(typed: Vec<u8>) -> Self {
        Self(typed)
    }

    /// What was typed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.clear();
        // What was erased while it was typed is in the rest.
        self.0.resize(self.0.capacity(), 0);
        std::hint::black_box(&self.0);
    }
}

/// A collector on another host and how to reach it.
#[derive(Debug)]
pub struct RemoteCollector {
    /// The program to reach it by: ssh.
    pub program: String,
    /// The host.
    pub host: Destination,
    /// The session.
    pub session: SessionId,
    /// The program there, and its options. Each can be passed.
    pub words: Vec<String>,
    /// The password of the user there, once sudo asked for it. Kept to connect again.
    pub password: Option<Password>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConnectError {
    /// It may work later.
    Passing(String),
    /// It will not.
    Lasting(String),
    /// Nobody waits for it any more.
    GivenUp,
}

/// A running ssh, after the greeting.
#[derive(Debug)]
pub struct LinkConnection {
    child: Child,
    /// The process that [`ANSWERS`] describes.
    answers: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// Bytes of standard output that were read and not used.
    pub(super) read: Vec<u8>,
    /// The last bytes of standard error.
    said: Vec<u8>,
}

/// What to do about a question of sudo: the password, or why there is none.
type Ask<'a> = &'a mut dyn FnMut(&[String]) -> Result<Password, String>;

impl RemoteCollector {
    /// Starts the collector there and connects to it. `ask` asks the person for the password there; its
    /// argument is what was said before. `given_up`: whether the person no longer waits. Returns what was
    /// said there as well.
    ///
    /// # Errors
    /// Why it does not start, in one sentence.
    pub fn start(
        &mut self,
        ask: Ask<'_>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<(LinkConnection, Vec<String>), String> {
        let (connection, hello) = match self.connect(Some(ask), given_up) {
            Ok(connected) => connected,
            Err(ConnectError::GivenUp) => return Err("interrupted".to_owned()),
            Err(ConnectError::Passing(why) | ConnectError::Lasting(why)) => return Err(why),
        };
        if !hello.there {
            return Err(format!("{}: the collector ended at once", self.host));
        }
        let said = lines(&connection.said);
        Ok((connection, said))
    }

    /// Connects again to the collector that runs there. Nobody is asked.
    pub(super) fn again(
        &mut self,
        given_up: &dyn Fn() -> bool,
    ) -> Result<LinkConnection, ConnectError> {
        let (connection, hello) = self.connect(None, given_up)?;
        if hello.there {
            return Ok(connection);
        }
        Err(ConnectError::Lasting(
            "the collector there has ended: the host was restarted, somebody ended it, or the link was \
             away for too long"
                .to_owned(),
        ))
    }

    fn connect(
        &mut self,
        mut ask: Option<Ask<'_>>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<(LinkConnection, Hello), ConnectError> {
        let again = ask.is_none();
        let prompt = format!("hullwatch-password-{}:", self.session);
        let mut words = self.words.clone();
        if again {
            words.push("--resume".to_owned());
        }
        let arguments = self.host.arguments(&prompt, &words, again);
        let mut connection = LinkConnection::open(&self.program, &arguments).map_err(|error| {
            ConnectError::Lasting(format!("cannot run {}: {error}", self.program))
        })?;
        let until = again.then(|| Instant::now() + AGAIN);
        let mut asked = 0;
        let mut unfinished = (0, Instant::now());
        loop {
            if let Some(hello) = connection.greeting() {
                return self.checked(hello).map(|hello| (connection, hello));
            }
            if given_up() {
                return Err(ConnectError::GivenUp);
            }
            if connection.read.len() > MOST_BEFORE {
                let why = format!(
                    "{}: it prints too much before hullwatch starts there",
                    self.host
                );
                return Err(ConnectError::Lasting(why));
            }
            if let Some(at) = connection.said.find(&prompt) {
                let before = lines(connection.said.get(..at).unwrap_or_default());
                connection.said.clear();
                asked += 1;
                self.password = match (&mut ask, self.password.take()) {
                    (None, Some(password)) if asked == 1 => Some(password),
                    (None, _) => {
                        let why = "sudo there does not accept the password any more";
                        return Err(ConnectError::Lasting(why.to_owned()));
                    }
                    (Some(ask), _) => Some(ask(&before).map_err(ConnectError::Lasting)?),
                };
                let password = self.password.as_ref();
                // If it is gone, the reason follows.
                let _ = connection.say(password.map_or(&[], |password| &password.0));
                let _ = connection.say(b"\n");
            }
            let said = &connection.said;
            if asked > 0 || said.len() != unfinished.0 || said.ends_with(b"\n") {
                unfinished = (said.len(), Instant::now());
            } else if !said.is_empty() && unfinished.1.elapsed() >= QUESTION {
                return Err(ConnectError::Lasting(format!(
                    "{}: it asks {:?}, which cannot be answered here: use root@HOST, or allow sudo \
                     without a password (NOPASSWD)",
                    self.host,
                    lines(said).last().map_or("", |line| line.trim())
                )));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(ConnectError::Passing("no answer".to_owned()));
            }
            if !connection.wait(Duration::from_millis(200)) {
                return Err(self.explain(connection));
            }
        }
    }

    fn checked(&self, hello: Hello) -> Result<Hello, ConnectError> {
        if hello.protocol == PROTOCOL {
            return Ok(hello);
        }
        let version = &hello.version;
        Err(ConnectError::Lasting(format!(
            "{}: hullwatch there has version {version}, which does not fit this one ({}): install the same \
             version on both hosts",
            self.host,
            env!("CARGO_PKG_VERSION")
        )))
    }

    /// Why ssh ended before the greeting.
    fn explain(&self, mut connection: LinkConnection) -> ConnectError {
        let code = connection.end(Duration::ZERO);
        let said = lines(&connection.said);
        let has = |part: &str| said.iter().any(|line| line.contains(part));
        let last = said.iter().rfind(|line| !line.trim().is_empty());
        let last = last.map_or("it said nothing", |line| line.trim_end());
        let host = &self.host;
        if code == Some(255) {
            let why = format!("{host}: ssh: {last}");
            // Trying again would only fill the other host's log, or lock the account.
            let refused = has("Permission denied") || has("Host key verification failed");
            return match refused {
                true => ConnectError::Lasting(why),
                false => ConnectError::Passing(why),
            };
        }
        let program = self.words.first().map_or("hullwatch", String::as_str);
        let missing = has("not found") || has("No such file") || code == Some(127);
        ConnectError::Lasting(if missing && has("sudo") && !has(program) {
            format!("{host}: sudo is missing there: use root@{host}, or install it ({last})")
        } else if missing {
            format!(
                "{host}: {program} was not found there: install the same version there, in a directory \
                 where root finds it, as /usr/local/bin ({last})"
            )
        } else if has("unrecognized subcommand") || has("unexpected argument") {
            format!(
                "{host}: hullwatch there is another version: install the same one on both hosts ({last})"
            )
        } else {
            format!(
                "{host}: {}",
                last.strip_prefix("hullwatch: ").unwrap_or(last)
            )
        })
    }
}

impl LinkConnection {
    fn open(program: &str, arguments: &[String]) -> io::Result<Self> {
        if !is_there(program) {
            return Err(ErrorKind::NotFound.into());
        }
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        let mut answers = Command::new("/bin/sh")
            .args(["-c", ANSWERS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let from = answers.stdout.take().ok_or_else(gone)?;
        let mut child = Command::new("/bin/sh")
            .args(["-c", SHIELDED, "sh", program])
            .args(arguments)
            .stdin(from)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self {
            stdin: answers.stdin.take(),
            answers,
            stdout: child.stdout.take().ok_or_else(gone)?,
            stderr: child.stderr.take(),
            child,
            read: Vec::new(),
            said: Vec::new(),
        })
    }

    /// Waits at most `time` for something, and reads it; false once standard output has ended.
    pub(super) fn wait(&mut self, time: Duration) -> bool {
        let mut polled = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        if let Some(stderr) = &self.stderr {
            polled.push(PollFd::new(stderr, PollFlags::IN));
        }
        let time = Timespec::try_from(time).ok();
        // An interrupted wait is repeated by the caller.
        let _ = poll(&mut polled, time.as_ref());
        let some = |at: usize| polled.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (out, err) = (some(0), some(1));
        if err && let Some(stderr) = &mut self.stderr {
            match take(stderr, &mut self.said) {
                Ok(0) => self.stderr = None,
                Ok(_) => {}
                Err(_) => self.stderr = None,
            }
            let excess = self.said.len().saturating_sub(MOST_SAID);
            self.said.drain(..excess);
        }
        !out || matches!(take(&mut self.stdout, &mut self.read), Ok(1..))
    }

    /// Takes the greeting from standard output, with everything before it.
    fn greeting(&mut self) -> Option<Hello> {
        let mut from = 0;
        while let Some(length) = self.read.get(from..)?.find_byte(b'\n') {
            let to = from + length;
            if let Some(hello) = Hello::parse(self.read.get(from..to)?) {
                self.read.drain(..=to);
                return Some(hello);
            }
            from = to + 1;
        }
        None
    }

    /// Writes to the other side.
    pub(super) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        stdin.write_all(bytes)
    }

    /// Ends ssh; after this time by force. Returns its exit code. The other side is told nothing.
    pub(super) fn end(&mut self, patience: Duration) -> Option<i32> {
        // It has ended, or was not waited for: the number is its own.
        let _ = self.answers.kill();
        let _ = self.answers.wait();
        self.close(patience)
    }

    fn close(&mut self, patience: Duration) -> Option<i32> {
        self.stdin = None;
        let child = Pid::from_child(&self.child);
        // ssh may be asking the person something: asked to end, it gives the terminal back.
        let stages = [
            (patience.max(CLOSING), Signal::TERM),
            (CLOSING, Signal::KILL),
        ];
        for (time, signal) in stages {
            let until = Instant::now() + time;
            while Instant::now() < until {
                if let Ok(Some(status)) = self.child.try_wait() {
                    // The rest of what it said.
                    while self.stderr.is_some()
                        && self.said.len() < MOST_SAID
                        && self.wait_for_rest()
                    {}
                    return status.code();
                }
                if !self.wait(Duration::from_millis(20)) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                // Nobody needs the rest of the recording.
                self.read.clear();
            }
            // It was not waited for, so the number is still its own.
            let _ = kill_process(child, signal);
        }
        self.child.wait().ok().and_then(|status| status.code())
    }

    /// Reads more of standard error, if there is more at once.
    fn wait_for_rest(&mut self) -> bool {
        let before = self.said.len();
        self.wait(Duration::from_millis(20));
        self.said.len() > before
    }

    /// The other side is to end, if it has begun; ends ssh. Returns whether that could be sent.
    pub(super) fn leave(mut self) -> bool {
        // While it runs, it says goodbye at the end of its input.
        let told = matches!(self.answers.try_wait(), Ok(None));
        self.close(ENDING);
        told
    }

    /// The last thing that ssh said.
    pub(super) fn last_words(&self) -> Option<String> {
        let said = lines(&self.said);
        said.into_iter().rfind(|line| !line.trim().is_empty())
    }
}

impl Drop for LinkConnection {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Whether a program can be found.
fn is_there(program: &str) -> bool {
    match (program.contains('/'), std::env::var_os("PATH")) {
        (true, _) => Path::new(program).exists(),
        (false, Some(path)) => std::env::split_paths(&path).any(|at| at.join(program).exists()),
        (false, None) => false,
    }
}

/// Reads once.
fn take(from: &mut (impl Read + AsFd), into: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 16 << 10];
    let count = loop {
        match from.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => break done?,
        }
    };
    into.extend(&buffer[..count]);
    Ok(count)
}

/// The lines of a text from the other side: hostile, to be escaped where they are shown.
fn lines(text: &[u8]) -> Vec<String> {
    let lines = text.split(|byte| *byte == b'\n' || *byte == b'\r');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}
