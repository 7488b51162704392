//! `hullwatch harden --verify`: tests advice on copies while this host is watched.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;

use super::error::print_message;
use super::runtimes::RuntimeArgs;
use super::signals::StopSignal;
use super::{CliError, LiveArgs, docker_host, live};
use crate::advice::{Advice, Setting};
use crate::baseline::Baseline;
use crate::collect::Tap;
use crate::core::Core;
use crate::event::Event;
use crate::render::words;
use crate::verify::{RefusalLog, VerifyOptions, VerifyReport, verify};

/// Options for testing advice.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Test the advice: start a copy of the container as it is and one with the advice, each with
    /// volumes of its own and no published port, and drop the settings that break it; exit 1 if any
    /// do. Give the container's name as =CONTAINER if BASELINE does not name it
    #[arg(
        long,
        value_name = "CONTAINER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "check"
    )]
    pub(super) verify: Option<String>,

    /// With --verify: how long each copy runs before it is reloaded and stopped
    #[arg(long = "for", value_name = "TIME", value_parser = live::duration, default_value = "10s", requires = "verify")]
    time: Duration,

    /// With --verify: a command that must succeed inside each copy, run without a shell [default:
    /// the health check, else the learned ports must be open]
    #[arg(long, value_name = "CMD", value_parser = command, requires = "verify")]
    probe: Option<CommandWords>,

    /// With --verify: the signal by which the container reloads, e.g. HUP
    #[arg(long, value_name = "SIGNAL", value_parser = signal, requires = "verify")]
    reload: Option<String>,

    /// With --verify: copies without a network, instead of on the container's own networks
    #[arg(long, requires = "verify")]
    isolated: bool,

    /// With --verify: address of the Docker engine
    #[arg(long, value_name = "URL", value_parser = docker_host::address, requires = "verify")]
    docker_host: Option<String>,
}

/// A command's words.
#[derive(Debug, Clone)]
struct CommandWords(Vec<String>);

fn command(text: &str) -> Result<CommandWords, String> {
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(CommandWords(words)),
        _ => Err("write it like 'curl -sf http://127.0.0.1/' or \"sh -c '…'\"".to_owned()),
    }
}

fn signal(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let known = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    if known {
        Ok(format!("SIG{name}"))
    } else {
        Err("write it like HUP or USR1".to_owned())
    }
}

/// Passes observed events to the log.
struct RefusalTap(Arc<Mutex<RefusalLog>>);

impl Tap for RefusalTap {
    fn event(&mut self, event: &Event, _core: &mut Core) {
        self.0.lock().event(event);
    }
}

impl VerifyArgs {
    /// Tests it; `of` is the baseline as named by the user, `title` its service.
    pub(super) fn run(
        &self,
        of: &str,
        title: &str,
        baseline: &Baseline,
        advice: &[Advice],
    ) -> Result<VerifyReport, CliError> {
        let is_name = !Path::new(of).exists() && !of.contains('@') && !of.ends_with(".toml");
        let container = match self.verify.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ if is_name => of,
            _ => title,
        };
        let own_seccomp = advice
            .iter()
            .any(|a| matches!(a.setting, Setting::Seccomp(_)));
        let stop = StopSignal::install()?;
        let address = docker_host::resolve(self.docker_host.as_deref())?;
        let log: Arc<Mutex<RefusalLog>> = Arc::default();
        let watched = LiveArgs {
            host: false,
            syscalls: own_seccomp,
            runtimes: RuntimeArgs {
                docker_host: address.clone(),
                ..RuntimeArgs::default()
            },
            max_age: None,
            policy: None,
            baseline: None,
            rescan: None,
            memory: None,
        };
        let watch = live::start(&watched, Some(Box::new(RefusalTap(Arc::clone(&log)))), None)?;
        let options = VerifyOptions {
            container,
            engine: address.as_deref(),
            probe: self.probe.as_ref().map(|words| words.0.as_slice()),
            time: self.time,
            reload: self.reload.as_deref(),
            isolated: self.isolated,
            log: &log,
            ended: &|| stop.ended(),
            progress: &|line| print_message(line),
        };
        let outcome = verify(&options, baseline, advice);
        live::stop(watch)?;
        outcome.map_err(|e| CliError::expected(e.to_string()))
    }
}

/// The result, and the exit code: 1 when advice had to be removed.
pub(super) fn print(report: &VerifyReport, out: &mut impl Write) -> Result<ExitCode, CliError> {
    for advice in &report.works {
        writeln!(out, "{:<8} {}", "works", words(&advice.setting))?;
    }
    for taken in &report.taken_out {
        writeln!(out, "{:<8} {}", "breaks", words(&taken.advice.setting))?;
        for why in &taken.why {
            writeln!(out, "           {why}")?;
        }
    }
    for advice in &report.not_tried {
        writeln!(out, "{:<8} {}", "untried", words(&advice.setting))?;
    }
    match report.taken_out.as_slice() {
        [] => writeln!(out, "works with all tested settings")?,
        taken => {
            let names: Vec<_> = taken.iter().map(|t| t.advice.setting.name()).collect();
            let first = taken[0].why.first().map_or("", String::as_str);
            writeln!(out, "works without {}: {first}", names.join(", "))?;
        }
    }
    for line in &report.left {
        print_message(line);
    }
    Ok(ExitCode::from(u8::from(!report.taken_out.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_commands_are_read_as_people_write_them() {
        assert_eq!(signal("hup"), Ok("SIGHUP".to_owned()));
        assert_eq!(signal("SIGUSR1"), Ok("SIGUSR1".to_owned()));
        assert!(signal("").is_err() && signal("a b").is_err());
        let words = |text| command(text).map(|words| words.0);
        assert_eq!(
            words("sh -c 'a b'"),
            Ok(vec!["sh".to_owned(), "-c".to_owned(), "a b".to_owned()])
        );
        assert!(words("'").is_err() && words(" ").is_err());
    }
}
