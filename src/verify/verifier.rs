//! Runs the control and the hardened copy, and removes advice until the copy passes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::engine::CopyEngine;
use super::error::VerifyError;
use super::life::{CopyLife, Trial};
use super::plan::{CopyPlan, control, harden, is_tried};
use super::probe::CopyProbe;
use super::refusal::{Refusal, RefusalLog, RefusedAction};
use crate::advice::Advice;
use crate::baseline::Baseline;
use crate::event::{Bytes, ContainerId};

/// How long the control may take until its probe succeeds.
const PATIENCE: Duration = Duration::from_secs(90);
/// Additional time for a copy relative to the control, and its minimum.
const SLOWER: u32 = 3;
const AT_LEAST: Duration = Duration::from_secs(15);
/// Time limit for the watch to report the end of a copy.
const SETTLE: Duration = Duration::from_secs(10);
/// The order in which advice is removed when the cause is not known: the least protective first.
const ORDER: [&str; 8] = [
    "egress",
    "seccomp",
    "user",
    "memory",
    "pids",
    "read-only",
    "capabilities",
    "no-new-privileges",
];

/// The options of a verification.
pub struct VerifyOptions<'a> {
    /// The container to copy: a name or an id.
    pub container: &'a str,
    /// The engine's address; `None`: the standard socket.
    pub engine: Option<&'a str>,
    /// A command that must succeed inside; `None`: the health check, else the ports.
    pub probe: Option<&'a [String]>,
    /// How long each copy runs before it is reloaded or stopped.
    pub time: Duration,
    /// The signal by which it reloads, e.g. `HUP`.
    pub reload: Option<&'a str>,
    /// Without a network.
    pub isolated: bool,
    /// The refusals that the watch reports.
    pub log: &'a Mutex<RefusalLog>,
    /// Set when the user interrupts.
    pub ended: &'a dyn Fn() -> bool,
    /// Receives progress lines, escaped.
    pub progress: &'a dyn Fn(String),
}

/// Advice that does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOut {
    /// The advice.
    pub advice: Advice,
    /// The reason, escaped: the refused action, or how the copy failed.
    pub why: Vec<String>,
}

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The copy passed with these.
    pub works: Vec<Advice>,
    /// Removed advice, in the order of removal.
    pub taken_out: Vec<TakenOut>,
    /// Advice that a copy cannot test, and settings without advice.
    pub not_tried: Vec<Advice>,
    /// Notes about the copies, escaped.
    pub notes: Vec<String>,
    /// Copies and volumes that could not be removed, escaped.
    pub left: Vec<String>,
}

/// Tests advice.
///
/// # Errors
/// When the engine refuses, the control itself does not pass, or it was interrupted. The copies
/// are removed in each case.
pub fn verify(
    options: &VerifyOptions,
    baseline: &Baseline,
    advice: &[Advice],
) -> Result<VerifyReport, VerifyError> {
    let mut engine = CopyEngine::connect(options.engine)?;
    let mut report = VerifyReport::default();
    let outcome = trials(options, baseline, advice, &mut engine, &mut report);
    report.left = engine.remove_all();
    outcome.map_err(|error| {
        let all: Vec<String> = std::iter::once(error.0)
            .chain(report.left.iter().cloned())
            .collect();
        VerifyError(all.join("; "))
    })?;
    Ok(report)
}

/// Each copy's name is its own.
fn name(number: u32) -> String {
    let pid = std::process::id();
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    format!("hullwatch-verify-{pid}-{time}-{number}")
}

fn trials(
    options: &VerifyOptions,
    baseline: &Baseline,
    advice: &[Advice],
    engine: &mut CopyEngine,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let original = engine.inspect(options.container)?;
    let plan = control(&original, baseline, options.isolated)?;
    let probe = CopyProbe::of(options.probe, &original, baseline);
    report
        .notes
        .push(format!("a copy passes when {}", probe.text()));
    report.notes.extend(plan.notes.iter().cloned());
    for note in &report.notes {
        (options.progress)(note.clone());
    }
    let mut trial = Trial {
        probe: &probe,
        time: options.time,
        reload: options.reload,
        patience: PATIENCE,
        ended: options.ended,
    };
    let (control, known) = one(options, engine, &trial, &plan, 0)?;
    if let Some(why) = known.failed {
        let why = format!("the control, which is not hardened, does not pass: {why}");
        return Err(VerifyError(why));
    }
    let code = known.code.unwrap_or(0);
    let seconds = known.ready.as_secs_f32();
    (options.progress)(format!(
        "the control passed: ready after {seconds:.1} s, stopped with {code}"
    ));
    trial.patience = (known.ready * SLOWER).max(AT_LEAST);

    let tried = advice.iter().filter(|a| is_tried(a)).cloned();
    report.works = tried.collect();
    report.not_tried = advice.iter().filter(|a| !is_tried(a)).cloned().collect();
    for number in 1.. {
        if report.works.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = report.works.iter().map(|a| a.setting.name()).collect();
        (options.progress)(format!("a copy with {}", names.join(", ")));
        let hard = harden(&plan, &report.works);
        let (id, life) = one(options, engine, &trial, &hard, number)?;
        let (refusals, missed) = {
            let log = options.log.lock();
            (log.beyond(&id, &control), log.missed(&id))
        };
        if missed > 0 {
            let note = format!("{missed} events of a copy were lost: a refusal may be missing");
            report.notes.push(note);
        }
        let failed = failure(&known, &life);
        let out = blamed(&refusals, &report.works, failed.as_deref());
        if out.is_empty() {
            return Ok(());
        }
        // One at a time: other refusals may follow from it.
        let first = ORDER.into_iter().find_map(|name| out.get_key_value(name));
        let Some((setting, why)) = first else {
            return Ok(());
        };
        (options.progress)(format!("without {setting}: {}", why.join("; ")));
        let at = report
            .works
            .iter()
            .position(|a| a.setting.name() == *setting);
        if let Some(at) = at {
            report.taken_out.push(TakenOut {
                advice: report.works.remove(at),
                why: why.clone(),
            });
        }
    }
    Ok(())
}

/// One copy: made, put through the trial, and its end seen by the watch.
fn one(
    options: &VerifyOptions,
    engine: &mut CopyEngine,
    trial: &Trial,
    plan: &CopyPlan,
    number: u32,
) -> Result<(ContainerId, CopyLife), VerifyError> {
    let id = engine.create(&name(number), plan)?;
    options.log.lock().follow(id.clone());
    let life = trial.run(engine, &id)?;
    let until = Instant::now() + SETTLE;
    // Its last refusals are reported before its end.
    let seen = |log: &Mutex<RefusalLog>| log.lock().ends(&id) > u32::from(life.failed.is_none());
    while !seen(options.log) && Instant::now() < until && !(options.ended)() {
        std::thread::sleep(Duration::from_millis(50));
    }
    if life.refused_tasks > 0 {
        let refusal = Refusal {
            action: RefusedAction::Tasks,
            errno: 0,
            comm: Bytes::default(),
        };
        options.log.lock().add(&id, refusal);
    }
    Ok((id, life))
}

/// How a copy did worse than the control.
fn failure(control: &CopyLife, copy: &CopyLife) -> Option<String> {
    if let Some(why) = &copy.failed {
        return Some(why.clone());
    }
    if control.code != copy.code {
        let code = |life: &CopyLife| life.code.map_or("none".to_owned(), |c| c.to_string());
        return Some(format!(
            "it stopped with {}, the control with {}",
            code(copy),
            code(control)
        ));
    }
    (control.printed && !copy.printed)
        .then(|| "the probe printed nothing, but did so for the control".to_owned())
}

/// The advice to remove, with the reasons: the cause of a refusal, else for a failure the first in
/// [`ORDER`].
fn blamed(
    refusals: &[Refusal],
    advice: &[Advice],
    failed: Option<&str>,
) -> BTreeMap<&'static str, Vec<String>> {
    const MOST: usize = 8;
    let mut out: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut more: BTreeMap<&'static str, usize> = BTreeMap::new();
    for refusal in refusals {
        let Some(setting) = refusal.blame(advice) else {
            continue;
        };
        let why = out.entry(setting).or_default();
        if why.len() < MOST {
            why.push(refusal.to_string());
        } else {
            *more.entry(setting).or_default() += 1;
        }
    }
    for (setting, count) in more {
        out.entry(setting)
            .or_default()
            .push(format!("and {count} more"));
    }
    if let (true, Some(failed)) = (out.is_empty(), failed) {
        let first = ORDER
            .into_iter()
            .find(|name| advice.iter().any(|a| a.setting.name() == *name));
        if let Some(first) = first {
            let why = format!("{failed}; the cause is unknown");
            out.insert(first, vec![why]);
        }
    } else if let Some(failed) = failed {
        for why in out.values_mut() {
            why.push(failed.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{Setting, Verdict};
    use crate::event::FileOp;

    fn advice() -> Vec<Advice> {
        let settings = [
            Setting::Capabilities(Vec::new()),
            Setting::ReadOnly(Vec::new()),
            Setting::Pids(64),
            Setting::Peers(Vec::new()),
        ];
        let advice = settings.map(|setting| Advice {
            setting,
            verdict: Verdict::Try,
            why: Vec::new(),
        });
        advice.into_iter().filter(is_tried).collect()
    }

    fn refused(path: &str) -> Refusal {
        Refusal {
            action: RefusedAction::File(FileOp::Create, path.into()),
            errno: 30,
            comm: "nginx".into(),
        }
    }

    #[test]
    fn everything_can_be_taken_out() {
        assert!(crate::advice::NAMES.iter().all(|name| ORDER.contains(name)));
    }

    #[test]
    fn advice_that_refused_is_removed_and_the_rest_stays() {
        let out = blamed(&[refused("/run/x.pid")], &advice(), Some("it ended with 1"));
        let names: Vec<_> = out.keys().copied().collect();
        assert_eq!(names, ["read-only"]);
        assert_eq!(out["read-only"].len(), 2);
        // A refusal counts though the copy went on.
        assert_eq!(blamed(&[refused("/x")], &advice(), None).len(), 1);
        assert!(blamed(&[], &advice(), None).is_empty());
    }

    #[test]
    fn without_a_refusal_advice_goes_in_a_fixed_order() {
        let mut left = advice();
        let mut order = Vec::new();
        while !left.is_empty() {
            let out = blamed(&[], &left, Some("it ended with 1"));
            let name = *out.keys().next().unwrap_or(&"");
            order.push(name);
            left.retain(|a| a.setting.name() != name);
        }
        assert_eq!(order, ["pids", "read-only", "capabilities"]);
    }

    #[test]
    fn another_exit_code_or_an_empty_answer_is_a_failure() {
        let life = |code, printed| CopyLife {
            code: Some(code),
            printed,
            ..CopyLife::default()
        };
        assert_eq!(failure(&life(0, true), &life(0, true)), None);
        assert!(failure(&life(0, true), &life(137, true)).is_some());
        assert!(failure(&life(0, true), &life(0, false)).is_some());
        assert_eq!(failure(&life(0, false), &life(0, true)), None);
    }
}
