//! One life of a copy: start, probe, wait, probe, reload, probe, stop, start again, probe.

use std::time::{Duration, Instant};

use super::engine::{CopyEngine, CopyState, refused_tasks};
use super::error::VerifyError;
use super::probe::{CopyProbe, ProbeAnswer};
use crate::event::{ContainerId, escape};

/// Interval between two checks.
const LOOK: Duration = Duration::from_millis(200);

/// The trial of a copy.
pub(super) struct Trial<'a> {
    pub(super) probe: &'a CopyProbe,
    /// Run time before it is reloaded or stopped.
    pub(super) time: Duration,
    /// The signal by which it reloads.
    pub(super) reload: Option<&'a str>,
    /// Time limit for the probe to succeed.
    pub(super) patience: Duration,
    /// Set when the user interrupts.
    pub(super) ended: &'a dyn Fn() -> bool,
}

/// The result of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CopyLife {
    /// Where it failed and how, escaped; `None`: it passed.
    pub(super) failed: Option<String>,
    /// How long the first start took.
    pub(super) ready: Duration,
    /// Exit code of the stop.
    pub(super) code: Option<i64>,
    /// The probe printed something.
    pub(super) printed: bool,
    /// Number of tasks that it could not start.
    pub(super) refused_tasks: u64,
}

/// Interrupted: the words are shown as they are.
fn interrupted() -> VerifyError {
    VerifyError("interrupted".to_owned())
}

impl Trial<'_> {
    /// Runs a created copy through the trial. Errors are the engine's, or the interruption.
    pub(super) fn run(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
    ) -> Result<CopyLife, VerifyError> {
        let mut life = CopyLife::default();
        life.failed = self.live(engine, id, &mut life).map_or_else(Err, Ok)?;
        if life.failed.is_some()
            && let CopyState::Running(_) = engine.state(id)?
        {
            engine.stop(id)?;
        }
        Ok(life)
    }

    /// The failure, if any.
    fn live(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
        life: &mut CopyLife,
    ) -> Result<Option<String>, VerifyError> {
        let begin = Instant::now();
        if let Some(why) = self.start(engine, id, life)? {
            return Ok(Some(format!("it did not start: {why}")));
        }
        life.ready = begin.elapsed();
        let until = Instant::now() + self.time;
        while Instant::now() < until {
            self.look(engine, id, life)?;
            std::thread::sleep(LOOK);
        }
        if let Some(why) = self.until_it_works(engine, id, life)? {
            return Ok(Some(format!("after a while: {why}")));
        }
        if let Some(signal) = self.reload {
            engine.signal(id, signal)?;
            // The signal does not take effect at once.
            std::thread::sleep(LOOK * 5);
            if let Some(why) = self.until_it_works(engine, id, life)? {
                return Ok(Some(format!("after {signal}: {why}")));
            }
        }
        self.look(engine, id, life)?;
        life.code = Some(engine.stop(id)?);
        if let Some(why) = self.start(engine, id, life)? {
            return Ok(Some(format!("it did not start a second time: {why}")));
        }
        self.look(engine, id, life)?;
        engine.stop(id)?;
        Ok(None)
    }

    fn start(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
        life: &mut CopyLife,
    ) -> Result<Option<String>, VerifyError> {
        match engine.start(id)? {
            Ok(()) => self.until_it_works(engine, id, life),
            Err(refused) => Ok(Some(escape(refused.as_bytes()).to_string())),
        }
    }

    /// Waits until the probe succeeds; returns why it did not.
    fn until_it_works(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
        life: &mut CopyLife,
    ) -> Result<Option<String>, VerifyError> {
        let until = Instant::now() + self.patience;
        loop {
            let pid = match self.look(engine, id, life)? {
                CopyState::Running(pid) => pid,
                CopyState::Ended(code) => {
                    let output = engine.log(id);
                    let last = output.trim_ascii_end().rsplit(|b| *b == b'\n').next();
                    let output = escape(last.unwrap_or_default().trim_ascii());
                    return Ok(Some(format!(
                        "it ended with {code}; its last output: {output}"
                    )));
                }
            };
            match self.probe.ask(engine, id, pid) {
                Ok(ProbeAnswer::Works(printed)) => {
                    life.printed |= printed;
                    return Ok(None);
                }
                Ok(ProbeAnswer::Fails(why)) if Instant::now() >= until => return Ok(Some(why)),
                Ok(ProbeAnswer::Fails(_)) => {}
                // It may have ended meanwhile, as the next check shows.
                Err(error) if Instant::now() >= until => return Ok(Some(error.0)),
                Err(_) => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
        life: &mut CopyLife,
    ) -> Result<CopyState, VerifyError> {
        if (self.ended)() {
            return Err(interrupted());
        }
        let state = engine.state(id)?;
        if let CopyState::Running(pid) = state {
            life.refused_tasks = life.refused_tasks.max(refused_tasks(pid));
        }
        Ok(state)
    }
}
