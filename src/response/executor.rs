//! Runs responses in the background, each in a thread of its own with the capabilities it needs,
//! and reports the outcome.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::command::CommandLine;
use super::files::{checksums, copy_files};
use super::identity::{check, shares_network};
use super::process::run;
use super::rights;
use super::subject::ProcessIdentity;
use super::suggestion::{FileSources, ResponseWork, Suggestion};
use crate::caller::InvokingUser;
use crate::event::{Bytes, ContainerId, Response, ResponseAction, ResponseOutcome, Timestamp};
use crate::system::{self, now};
use crate::user_files::{self, Creation};

/// Maximum number of responses that run at once.
const MAX_RUNNING: usize = 4;
/// Maximum number of results that wait to become events.
const QUEUE: usize = 64;
/// Time limit of a command to an engine.
const COMMAND: Duration = Duration::from_secs(60);
/// Time limit for an image or a checkpoint.
const COMMIT: Duration = Duration::from_secs(600);
/// Time limit of a command that keeps its output.
const OUTPUT: Duration = Duration::from_secs(90);
/// Time limit for a killed process to end.
const DEATH: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// A completed response, which becomes an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseResult {
    /// When it ended.
    pub at: Timestamp,
    /// The container.
    pub container: ContainerId,
    /// Host pid of the process it was about; 0 for none.
    pub pid: u32,
    /// The action and its outcome.
    pub response: Response,
}

/// The handle for starting responses.
#[derive(Debug, Clone)]
pub struct ResponseExecutor {
    requests: Sender<Suggestion>,
    running: Arc<AtomicUsize>,
}

impl ResponseExecutor {
    /// Starts the thread that starts responses, with the privileges of the calling thread that any
    /// response may need. The second part receives the results.
    ///
    /// # Errors
    /// When the thread cannot be started, or its privileges not be reduced.
    pub fn start() -> io::Result<(Self, Receiver<ResponseResult>)> {
        let (requests, queue) = bounded::<Suggestion>(MAX_RUNNING);
        let (results, receiver) = bounded(QUEUE);
        let (ready, reduced) = bounded(1);
        let running = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&running);
        thread::Builder::new()
            .name("responses".to_owned())
            .spawn(move || {
                let kept = rights::keep(rights::ANY);
                let may = kept.is_ok();
                let _ = ready.send(kept);
                if may {
                    queue
                        .iter()
                        .for_each(|suggestion| start(suggestion, &results, &counted));
                }
            })?;
        let gone = |_| io::Error::other("the thread that runs responses has ended");
        reduced.recv().map_err(gone)?.map_err(io::Error::other)?;
        Ok((Self { requests, running }, receiver))
    }

    /// Runs a response in the background. Never waits.
    ///
    /// # Errors
    /// Why it is refused: it is about the host, it is only for a person to run, or too many run.
    pub fn submit(&self, suggestion: Suggestion) -> Result<(), String> {
        if suggestion.container.is_none() {
            return Err("hullwatch changes nothing on the host itself".to_owned());
        }
        if let ResponseWork::ByHand(why) = suggestion.work {
            return Err(format!("copy the command and run it yourself: {why}"));
        }
        let busy = || format!("{MAX_RUNNING} responses are running: wait for one to end");
        let claim = self
            .running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < MAX_RUNNING).then_some(running + 1)
            });
        claim.map_err(|_| busy())?;
        // There is room for as many as may run.
        self.requests.try_send(suggestion).map_err(|_| {
            self.running.fetch_sub(1, Ordering::Relaxed);
            busy()
        })
    }
}

fn start(suggestion: Suggestion, results: &Sender<ResponseResult>, running: &Arc<AtomicUsize>) {
    let (out, counted) = (results.clone(), Arc::clone(running));
    let action = suggestion.clone();
    let spawned = thread::Builder::new()
        .name("response".to_owned())
        .spawn(move || {
            let done = rights::keep(rights::needed(&action.work)).and_then(|()| perform(&action));
            counted.fetch_sub(1, Ordering::Relaxed);
            report(action, done, &out);
        });
    if let Err(error) = spawned {
        running.fetch_sub(1, Ordering::Relaxed);
        report(
            suggestion,
            Err(format!("cannot start a thread: {error}")),
            results,
        );
    }
}

fn report(suggestion: Suggestion, done: Result<String, String>, out: &Sender<ResponseResult>) {
    let Some(container) = suggestion.container else {
        return;
    };
    let (uid, user) = person();
    let (outcome, detail) = match done {
        Ok(detail) => (ResponseOutcome::Done, detail),
        Err(detail) => (ResponseOutcome::Failed, detail),
    };
    let pid = match &suggestion.work {
        ResponseWork::Kill(process) => process.pid,
        _ => 0,
    };
    let response = Response {
        action: suggestion.action,
        targets: suggestion.targets,
        uid,
        user,
        command: suggestion.command,
        undo: suggestion
            .undo
            .filter(|_| outcome == ResponseOutcome::Done)
            .unwrap_or_default(),
        outcome,
        detail: Bytes::from(detail.as_str()),
    };
    // The watch may have ended meanwhile.
    let _ = out.send(ResponseResult {
        at: now(),
        container,
        pid,
        response,
    });
}

/// The person at the screen: the user who called sudo, else the user of this program. User id, and
/// the name if the user database knows one.
#[must_use]
pub fn person() -> (u32, Bytes) {
    let uid = InvokingUser::from_environment()
        .map_or_else(|| rustix::process::getuid().as_raw(), |user| user.uid);
    let user = system::user(uid);
    (uid, user.map(|user| user.name).unwrap_or_default())
}

fn perform(suggestion: &Suggestion) -> Result<String, String> {
    let limit = if suggestion.action == ResponseAction::Commit {
        COMMIT
    } else {
        COMMAND
    };
    match &suggestion.work {
        ResponseWork::Commands(commands, within) => {
            let mut answer = String::new();
            for command in commands {
                if let Some(init) = within {
                    own_network(init)?;
                }
                answer = run(command, None, limit)?;
            }
            Ok(answer)
        }
        ResponseWork::Kill(process) => kill(process),
        ResponseWork::CopyOut(sources) => copy_out(sources),
        ResponseWork::Output(command, init, name) => {
            own_network(init)?;
            keep_output(command, Path::new(name))
        }
        ResponseWork::ByHand(why) => Err((*why).to_owned()),
    }
}

/// Runs a command and keeps its output in a new file. A command that fails without any output, such
/// as one that is not installed, leaves no file.
fn keep_output(command: &CommandLine, path: &Path) -> Result<String, String> {
    let at = |error: io::Error| format!("{}: {error}", path.display());
    let file = user_files::create(path, Creation::Write).map_err(at)?;
    let output = file.try_clone().map_err(at)?;
    run(command, Some(output), OUTPUT).inspect_err(|_| {
        if file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = user_files::remove(path);
        }
    })?;
    Ok(format!("written {}", whole(path)))
}

/// Checks that rules for the container's network cannot become the host's.
fn own_network(init: &ProcessIdentity) -> Result<(), String> {
    let _held = check(init)?;
    if shares_network(init.pid)? {
        return Err("the container is in the host's network".to_owned());
    }
    Ok(())
}

fn kill(process: &ProcessIdentity) -> Result<String, String> {
    let checked = check(process)?;
    let pid = process.pid;
    pidfd_send_signal(&checked.pidfd, Signal::KILL)
        .map_err(|error| format!("process {pid}: {error}"))?;
    let mut ended = [PollFd::new(&checked.pidfd, PollFlags::IN)];
    match poll(&mut ended, Some(&DEATH)) {
        Ok(0) => Ok("SIGKILL was sent; it has not ended yet".to_owned()),
        Ok(_) => Ok("it has ended".to_owned()),
        Err(error) => Err(format!("process {pid}: {error}")),
    }
}

fn copy_out(sources: &FileSources) -> Result<String, String> {
    let path = PathBuf::from(format!("{}.tar", sources.name));
    let at = |error: io::Error| format!("{}: {error}", path.display());
    let file = user_files::create(&path, Creation::Write).map_err(at)?;
    let mut archive = tar::Builder::new(io::BufWriter::new(file));
    let copied = copy_files(sources, &sources.name, &mut archive).map_err(at)?;
    let list = serde_json::to_vec_pretty(&copied).map_err(|error| error.to_string())?;
    let sums = checksums(&copied);
    for (name, content) in [
        ("files.json", list.as_slice()),
        ("SHA256SUMS", sums.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now().seconds()).unwrap_or(0));
        archive
            .append_data(&mut header, format!("{}/{name}", sources.name), content)
            .map_err(at)?;
    }
    archive
        .into_inner()
        .and_then(|mut out| out.flush())
        .map_err(at)?;
    let kept = copied.iter().filter(|file| !file.copy.is_empty()).count();
    let all = copied.len();
    if kept == 0 {
        let why = copied.iter().find_map(|file| file.note.clone());
        return Err(format!(
            "none of {all} files was copied: {}",
            why.unwrap_or_default()
        ));
    }
    Ok(format!("{kept} of {all} files in {}", whole(&path)))
}

/// The message has the whole path: the reader may not know the working directory.
fn whole(path: &Path) -> String {
    let whole = std::path::absolute(path);
    whole.as_deref().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_without_output_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packets.pcap");
        let absent = keep_output(&CommandLine::new(["hullwatch-no-such-program"]), &path);
        assert!(absent.is_err() && !path.exists(), "{absent:?}");
        let partial = CommandLine::new(["sh", "-c", "echo some; exit 1"]);
        assert!(keep_output(&partial, &path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "some\n");
        // A file of another is neither overwritten nor removed.
        std::fs::write(&path, "").unwrap();
        assert!(keep_output(&CommandLine::new(["true"]), &path).is_err() && path.exists());
    }
}
