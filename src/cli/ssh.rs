//! `hullwatch --ssh`: another host in the terminal. The collector runs there, the screen here.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;

use super::error::print_message;
use super::live::Age;
use super::signals::StopSignal;
use super::{CliError, LiveArgs, password};
use crate::link::{
    Destination, LEAST_RATE, LinkBoard, LinkClient, LinkState, RemoteCollector, SessionId,
    can_be_passed,
};
use crate::memory::MemoryBudget;
use crate::recording::{Player, RecordingError};
use crate::tui::{self, Attached, Bps, Config};
use crate::user_files::{self, Creation, InvokingUser};

/// The program that connects to the other host.
const PROGRAM: &str = "HULLWATCH_SSH";
/// The largest temporary recording, bytes.
pub(super) const MOST: u64 = 2 << 30;
/// How long the first line of the recording may take.
const FIRST: Duration = Duration::from_secs(60);

/// The recording here.
pub(super) struct LocalRecording {
    /// Where it can be opened.
    pub(super) path: PathBuf,
    /// A file without a name, which exists for as long as it is open.
    _unnamed: Option<File>,
}

/// Shows `host` until the user leaves. `record`: keep the recording in this file.
pub(super) fn run(
    host: &Destination,
    record: Option<&Path>,
    watched: &LiveArgs,
    mut config: Config,
) -> Result<ExitCode, CliError> {
    if InvokingUser::from_environment().is_some() {
        return Err(CliError::expected(
            "--ssh needs no rights on this host: run it without sudo, so that ssh uses your own keys",
        ));
    }
    if let Some(path) = record {
        check_name(path)?;
    }
    password::keep_memory_private();
    let stop = StopSignal::install()?;
    let ended = || stop.ended();
    let session = SessionId::random()?;
    let mut words = vec!["hullwatch".to_owned(), "serve".to_owned()];
    words.push(format!("--session={session}"));
    // The limit is for the link; the screen is here.
    if let Bps::Limit(limit) = config.bps {
        if limit < LEAST_RATE {
            return Err(CliError::expected(format!(
                "--bps {limit}: less than {LEAST_RATE} bytes a second cannot carry what an idle host does"
            )));
        }
        words.push(format!("--bps={limit}"));
        config.bps = Bps::Auto;
    }
    words.extend(options(watched)?);
    let program = std::env::var(PROGRAM).ok().filter(|name| !name.is_empty());
    let mut collector = RemoteCollector {
        program: program.unwrap_or_else(|| "ssh".to_owned()),
        host: host.clone(),
        session: session.clone(),
        words,
        password: None,
    };
    print_message(format!("connecting to {host}"));
    let (connection, said) = collector
        .start(
            &mut |before| {
                print_all(host, before);
                password::ask(&format!("sudo password on {host}: "), &ended)
                    .map_err(|error| format!("{host}: no password: {error}"))
            },
            &ended,
        )
        .map_err(CliError::Expected)?;
    print_all(host, &said);
    // Should the file fail, the collector there ends when no screen begins to receive.
    let (file, local) = match record {
        Some(path) => kept(path),
        None => unnamed(&session),
    }?;
    let most = if record.is_some() { u64::MAX } else { MOST };
    let board = LinkBoard::new(&host.to_string(), record.is_some());
    let client = LinkClient::start(collector, connection, file, most, board.clone())?;
    // The first line of what arrives is the other host's word.
    let memory = watched.memory.unwrap_or_default();
    let shown = show(&local.path, memory, &board, &config, &ended);
    if !client.end() {
        print_message(format!(
            "{host} was not reached: hullwatch there ends by itself, ten minutes after the link was lost"
        ));
    }
    if let LinkState::Ended(why) = board.state() {
        print_message(format!("{host}: {why}"));
    }
    shown?;
    if let Some(path) = record {
        print_message(format!("recorded in {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_all(host: &Destination, lines: &[String]) {
    for line in lines {
        print_message(format!(
            "{host}: {}",
            line.strip_prefix("hullwatch: ").unwrap_or(line)
        ));
    }
}

/// Creates the file, and locks it for as long as it is written: a reader then waits for more.
fn create(path: &Path) -> Result<File, CliError> {
    let fail = |error| RecordingError::create(path, error);
    let file = user_files::create(path, Creation::Append).map_err(fail)?;
    file.try_lock().map_err(|error| fail(error.into()))?;
    Ok(file)
}

/// Checks the name of a recording that will be made of another host's stream.
pub(super) fn check_name(path: &Path) -> Result<(), CliError> {
    if path.extension().is_none_or(|extension| extension != "zst") {
        return Err(CliError::expected(format!(
            "{}: a recording from another host is compressed: choose a name that ends in .zst",
            path.display()
        )));
    }
    if path.exists() {
        return Err(RecordingError::Exists(path.to_owned()).into());
    }
    Ok(())
}

/// A recording that the user named.
pub(super) fn kept(path: &Path) -> Result<(File, LocalRecording), CliError> {
    let local = LocalRecording {
        path: path.to_owned(),
        _unnamed: None,
    };
    Ok((create(path)?, local))
}

/// A recording that is gone when this process is, however it ends.
pub(super) fn unnamed(session: &SessionId) -> Result<(File, LocalRecording), CliError> {
    let path = std::env::temp_dir().join(format!("hullwatch-{session}.jsonl.zst"));
    let file = create(&path)?;
    // Opened for reading by itself: the lock is on what is written to.
    let reading = File::open(&path);
    user_files::remove(&path)?;
    let reading = reading?;
    let local = LocalRecording {
        path: format!("/proc/self/fd/{}", reading.as_raw_fd()).into(),
        _unnamed: Some(reading),
    };
    Ok((file, local))
}

/// Opens the screen once the recording has begun.
pub(super) fn show(
    path: &Path,
    memory: MemoryBudget,
    board: &LinkBoard,
    config: &Config,
    given_up: &dyn Fn() -> bool,
) -> Result<(), CliError> {
    let until = Instant::now() + FIRST;
    let player = loop {
        match Player::open_within(path, Some(memory)) {
            Ok(player) => break player,
            Err(error) if Instant::now() >= until => return Err(error.into()),
            Err(_) => {}
        }
        if given_up() {
            return Err(CliError::expected("interrupted"));
        }
        if matches!(board.state(), LinkState::Ended(_)) {
            // Its reason is printed.
            return Err(CliError::expected(
                "the link ended before anything was shown",
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let attached = Attached {
        link: Some(board.clone()),
        ..Attached::default()
    };
    tui::run_attached(player, config, attached)
        .map_err(|error| CliError::expected(error.to_string()))?;
    Ok(())
}

/// The options of watching, as words of a command line.
fn options(args: &LiveArgs) -> Result<Vec<String>, CliError> {
    let mut words = Vec::new();
    let flags = [
        (args.host, "--host"),
        (args.syscalls, "--syscalls"),
        (args.runtimes.no_engine, "--no-engine"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|flag| flag.0)
            .map(|flag| flag.1.to_owned()),
    );
    let mut add = |name: &str, value: &str| -> Result<(), CliError> {
        if !can_be_passed(value) {
            return Err(CliError::Expected(format!(
                "--{name}: quotes, backslashes, exclamation marks and control characters cannot be passed to \
                 another host"
            )));
        }
        words.push(format!("--{name}={value}"));
        Ok(())
    };
    if let Some(url) = &args.runtimes.docker_host {
        add("docker-host", url)?;
    }
    for runtime in &args.runtimes.runtime {
        if let Some(value) = runtime.to_possible_value() {
            add("runtime", value.get_name())?;
        }
    }
    for url in &args.runtimes.runtime_endpoint {
        add("runtime-endpoint", url)?;
    }
    match &args.max_age {
        Some(Age(Some(age))) => add("max-age", &humantime::format_duration(*age).to_string())?,
        Some(Age(None)) => add("max-age", "none")?,
        None => {}
    }
    for (name, path) in [("policy", &args.policy), ("baseline", &args.baseline)] {
        if let Some(path) = path {
            let text = path
                .to_str()
                .ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
            add(name, text)?;
        }
    }
    if let Some(time) = args.rescan {
        add("rescan", &humantime::format_duration(time).to_string())?;
    }
    if let Some(memory) = args.memory {
        add("memory", &memory.to_string())?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Both {
        #[command(flatten)]
        live: LiveArgs,
    }

    fn parse(words: &[&str]) -> LiveArgs {
        Both::try_parse_from([&["hullwatch"], words].concat())
            .unwrap()
            .live
    }

    #[test]
    fn the_collector_there_gets_every_option_of_watching() {
        let all = [
            "--host",
            "--syscalls",
            "--docker-host=unix:///x.sock",
            "--runtime=docker",
            "--runtime=containerd",
            "--max-age=1h 30m",
            "--policy=/etc/a b.toml",
            "--baseline=-odd",
            "--rescan=10m",
            "--memory=64MiB",
        ];
        for words in [
            &all[..],
            &[],
            &["--no-engine", "--max-age=none"],
            &["--runtime-endpoint=/run/c.sock"],
        ] {
            let args = parse(words);
            let passed = options(&args).unwrap();
            let passed: Vec<&str> = passed.iter().map(String::as_str).collect();
            assert_eq!(format!("{:?}", parse(&passed)), format!("{args:?}"));
        }
        // A new option must be passed as well.
        let command = <Both as clap::CommandFactory>::command();
        let names = command
            .get_arguments()
            .map(|argument| argument.get_id().to_string());
        assert_eq!(names.count(), 11);
    }

    #[test]
    fn what_another_shell_may_change_is_not_passed() {
        assert!(options(&parse(&["--policy=/it's"])).is_err());
        assert!(options(&parse(&["--policy=/x\u{1b}[2J"])).is_err());
        assert!(options(&parse(&["--policy=/x\n"])).is_err());
    }
}
