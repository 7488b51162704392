//! The requested events and findings, as JSON lines.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::selection::{LineTypes, Selection};
use crate::containers::{ContainerSelector, SelectError};
use crate::core::Core;
use crate::detect::Finding;
use crate::event::{ContainerId, ContainerInfo, Event, Kind, escape_json};
use crate::masking::mask_json;
use crate::recording::finding_line;

/// Events kept for one container whose name and image are not known yet.
const HELD: usize = 1024;

/// Whether a container is a requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    Yes,
    No,
    /// Its name and image are not known yet.
    Later,
}

/// Turns events and the findings after them into the requested lines.
#[derive(Debug)]
pub(super) struct OutputLines {
    what: LineTypes,
    selection: Selection,
    /// Lines of containers that may turn out to be requested.
    held: BTreeMap<ContainerId, VecDeque<Vec<u8>>>,
    /// Lines that could not be held.
    pub(super) unheld: u64,
    /// Findings as last printed, in the engine's order.
    printed: Vec<Arc<Finding>>,
    /// Requested findings that are not silenced.
    open: BTreeSet<usize>,
    /// The same of containers that may turn out to be requested.
    perhaps: BTreeSet<usize>,
    /// Lost events of requested containers and of unknown ones.
    lost: u64,
    /// Requested containers that existed.
    met: BTreeSet<String>,
}

impl OutputLines {
    pub(super) fn new(what: LineTypes, selection: Selection) -> Self {
        Self {
            what,
            selection,
            held: BTreeMap::new(),
            unheld: 0,
            printed: Vec::new(),
            open: BTreeSet::new(),
            lost: 0,
            perhaps: BTreeSet::new(),
            met: BTreeSet::new(),
        }
    }

    /// Takes an event that `core` has applied; passes each line, with its newline, to `out`.
    pub(super) fn event(&mut self, event: &Event, core: &Core, out: &mut dyn FnMut(Vec<u8>)) {
        if matches!(event.kind, Kind::Container(_))
            && let Some(id) = &event.container
            && let Some(held) = self.held.remove(id)
        {
            match self.matches(id, core) {
                Selected::Yes => {
                    let named = held.into_iter().map(|line| named(line, id, core));
                    named.for_each(&mut *out);
                }
                Selected::No => {}
                Selected::Later => {
                    self.held.insert(id.clone(), held);
                }
            }
        }
        if self.what.types.contains(event.kind.type_name()) {
            let mut line = Vec::new();
            // An event always has a JSON form.
            if event.write_json(&mut line).is_ok() {
                self.line(event.container.as_ref(), line, core, out);
            }
        }
        self.losses(event, core, out);
        // A new finding at once; changes once a tick, as in a recording.
        let from = match event.kind {
            Kind::Tick(_) => 0,
            _ => self.printed.len(),
        };
        self.findings(from, core, out);
    }

    /// Notes lost events; among findings they have a line, whatever types were requested.
    fn losses(&mut self, event: &Event, core: &Core, out: &mut dyn FnMut(Vec<u8>)) {
        let Kind::Lost(lost) = &event.kind else {
            return;
        };
        let of = event.container.as_ref();
        if of.is_some_and(|id| self.matches(id, core) == Selected::No) {
            return;
        }
        // Where they cannot be counted there was at least one.
        self.lost = self.lost.saturating_add(lost.count.max(1));
        let mut line = Vec::new();
        if self.what.findings
            && !self.what.types.contains(event.kind.type_name())
            && event.write_json(&mut line).is_ok()
        {
            out(self.printable(line));
        }
    }

    /// Number of lost events that may belong to the requested containers.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// A requested finding was seen and is not silenced.
    pub(super) fn found(&self) -> bool {
        !self.open.is_empty()
    }

    /// The findings' final state.
    pub(super) fn finish(&mut self, core: &Core, out: &mut dyn FnMut(Vec<u8>)) {
        self.findings(0, core, out);
        for i in std::mem::take(&mut self.perhaps) {
            let finding = core.detector.findings().get(i);
            let owner = finding.and_then(|finding| finding.container.as_ref());
            if owner.is_some_and(|id| self.matches(id, core) == Selected::Yes) {
                self.open.insert(i);
            }
        }
    }

    /// Whether a finding is severe enough and of a container that may be requested.
    pub(super) fn wants(&self, finding: &Finding, core: &Core) -> bool {
        finding.severity >= self.selection.min_severity
            && match &finding.container {
                Some(id) => self.matches(id, core) != Selected::No,
                None => self.selection.container.is_empty(),
            }
    }

    /// Whether a finding is severe enough and of a requested container.
    pub(super) fn is_selected(&self, finding: &Finding, core: &Core) -> bool {
        finding.severity >= self.selection.min_severity
            && match &finding.container {
                Some(id) => self.matches(id, core) == Selected::Yes,
                None => self.selection.container.is_empty(),
            }
    }

    /// Notes the requested containers that an event shows to exist.
    pub(super) fn look(&mut self, event: &Event, core: &Core) {
        if !matches!(event.kind, Kind::Container(_)) {
            return;
        }
        for wanted in &self.selection.container {
            if !self.met.contains(wanted)
                && ContainerSelector::new(wanted)
                    .resolve(containers(core))
                    .is_ok()
            {
                self.met.insert(wanted.clone());
            }
        }
    }

    /// Why requested containers never existed.
    pub(super) fn never_selected(&self, core: &Core) -> Vec<SelectError> {
        let wanted = self.selection.container.iter();
        wanted
            .filter(|w| !self.met.contains(*w))
            .filter_map(|w| ContainerSelector::new(w).resolve(containers(core)).err())
            .collect()
    }

    fn findings(&mut self, from: usize, core: &Core, out: &mut dyn FnMut(Vec<u8>)) {
        for (i, finding) in core.detector.findings().iter().enumerate().skip(from) {
            match self.printed.get_mut(i) {
                Some(printed) if printed == finding => continue,
                Some(printed) => printed.clone_from(finding),
                None => self.printed.push(finding.clone()),
            }
            if !self.wants(finding, core) {
                continue;
            }
            let owner = finding.container.as_ref();
            if !finding.is_open() {
                self.open.remove(&i);
                self.perhaps.remove(&i);
            } else if owner.is_none_or(|id| self.matches(id, core) == Selected::Yes) {
                self.open.insert(i);
            } else {
                self.perhaps.insert(i);
            }
            if self.what.findings
                && let Ok(line) = finding_line(finding)
            {
                self.line(owner, line, core, out);
            }
        }
    }

    fn line(
        &mut self,
        owner: Option<&ContainerId>,
        line: Vec<u8>,
        core: &Core,
        out: &mut dyn FnMut(Vec<u8>),
    ) {
        let line = self.printable(line);
        // The host's own events and those about the stream itself belong to no container.
        let Some(id) = owner else {
            if self.selection.container.is_empty() {
                out(line);
            }
            return;
        };
        match self.matches(id, core) {
            Selected::Yes => out(named(line, id, core)),
            Selected::No => {}
            Selected::Later => {
                let held = self.held.entry(id.clone()).or_default();
                if held.len() == HELD {
                    held.pop_front();
                    self.unheld += 1;
                }
                held.push_back(line);
            }
        }
    }

    /// A line as it may be printed: safe for a terminal, and without secrets if requested.
    pub(super) fn printable(&self, line: Vec<u8>) -> Vec<u8> {
        let line = if self.selection.mask {
            masked(&line)
        } else {
            line
        };
        match escape_json(&line) {
            Cow::Owned(escaped) => escaped,
            Cow::Borrowed(_) => line,
        }
    }

    fn matches(&self, id: &ContainerId, core: &Core) -> Selected {
        let wanted = &self.selection.container;
        if wanted.is_empty() {
            return Selected::Yes;
        }
        let Some(info) = core.state.containers.get(id).map(|c| &c.info) else {
            return Selected::Later;
        };
        let selects = |w: &String| ContainerSelector::new(w).selects(id, info, containers(core));
        if wanted.iter().any(selects) {
            Selected::Yes
        } else if info.name.is_empty() && info.image.is_empty() {
            Selected::Later
        } else {
            Selected::No
        }
    }

    /// Why requested containers are not selected now, each with the known alternatives.
    pub(super) fn unselected(&self, core: &Core) -> Vec<SelectError> {
        let wanted = self.selection.container.iter();
        wanted
            .filter_map(|w| ContainerSelector::new(w).resolve(containers(core)).err())
            .collect()
    }
}

/// The line without its secrets; the keys of its objects are in alphabetical order.
fn masked(line: &[u8]) -> Vec<u8> {
    // Both always succeed for a line that hullwatch wrote; one that is no JSON must not get out.
    let mut value = serde_json::from_slice(line).unwrap_or_default();
    mask_json(&mut value);
    let mut masked = serde_json::to_vec(&value).unwrap_or_default();
    masked.push(b'\n');
    masked
}

/// The line with its container's name in addition to the id, if the name is known by now.
pub(super) fn named(mut line: Vec<u8>, id: &ContainerId, core: &Core) -> Vec<u8> {
    let container = core.state.containers.get(id);
    let name = container.map(|container| &container.info.name);
    let name = name.filter(|name| !name.is_empty());
    if let Some(json) = name.and_then(|name| serde_json::to_vec(name).ok())
        && line.ends_with(b"}\n")
    {
        line.truncate(line.len() - 2);
        line.extend(b",\"container_name\":");
        line.extend(&*escape_json(&json));
        line.extend(b"}\n");
    }
    line
}

fn containers(core: &Core) -> impl Iterator<Item = (&ContainerId, &ContainerInfo)> + Clone {
    let containers = core.state.containers.values();
    containers.map(|container| (&container.id, &container.info))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::selection::what;
    use crate::event::{ContainerAction, ContainerEvent, Exec, Lost, LostReason, Timestamp};
    use crate::masking::MASK;

    #[derive(clap::Parser)]
    struct Flags {
        #[arg(long, value_parser = what)]
        events: LineTypes,
        #[command(flatten)]
        selection: Selection,
    }

    fn lines(flags: &str) -> OutputLines {
        let flags = Flags::parse_from(format!("x {flags}").split(' '));
        OutputLines::new(flags.events, flags.selection)
    }

    fn event(id: char, kind: Kind) -> Event {
        Event {
            seq: 1,
            ts: Timestamp(0),
            container: Some(ContainerId::new(&id.to_string().repeat(64))),
            pid: 1,
            nspid: 1,
            kind,
        }
    }

    fn exec(id: char) -> Event {
        event(id, Kind::Exec(Box::default()))
    }

    #[test]
    fn masked_lines_have_no_secret_and_are_otherwise_equal() {
        let argv = ["mysql", "--password", "hunter2", "-h", "db"].map(|a| a.as_bytes().into());
        let exec = event(
            'a',
            Kind::Exec(Box::new(Exec {
                argv: argv.to_vec(),
                ..Exec::default()
            })),
        );
        let print = |flags: &str| {
            let mut printed = Vec::new();
            let mut core = Core::default();
            core.apply(&std::sync::Arc::new(exec.clone()));
            lines(flags).event(&exec, &core, &mut |line| printed.extend(line));
            serde_json::from_slice::<serde_json::Value>(&printed).unwrap()
        };
        let plain = print("--events exec");
        let mut masked = print("--events exec --mask");
        assert_eq!(plain["argv"][2], "hunter2");
        assert_eq!(masked["argv"][2], MASK);
        masked["argv"][2] = "hunter2".into();
        assert_eq!(masked, plain);
    }

    fn info(id: char, name: &str, image: &str) -> Event {
        let info = ContainerInfo {
            name: name.into(),
            image: image.into(),
            ..ContainerInfo::default()
        };
        event(
            id,
            Kind::Container(Box::new(ContainerEvent {
                action: ContainerAction::Info,
                info: Some(Box::new(info)),
            })),
        )
    }

    /// The ids' first characters of the lines printed.
    fn printed(lines: &mut OutputLines, events: &[Event]) -> String {
        let mut core = Core::default();
        let mut out = String::new();
        for event in events {
            core.apply(&std::sync::Arc::new(event.clone()));
            lines.event(event, &core, &mut |line| {
                let event = Event::from_json(&line).unwrap();
                out.extend(event.container.unwrap().as_str().chars().next());
            });
        }
        out
    }

    #[test]
    fn the_first_execs_of_a_container_wait_for_its_name() {
        let events = [
            exec('a'),
            exec('b'),
            exec('a'),
            info('b', "db", "redis:7"),
            info('a', "web", "nginx:1.25"),
            exec('a'),
            exec('b'),
        ];
        let select = |flags| printed(&mut lines(flags), &events);
        assert_eq!(select("--events exec"), "abaab");
        assert_eq!(select("--events exec --container web"), "aaa");
        assert_eq!(select("--events exec --container image:redis"), "bb");
        assert_eq!(select("--events exec --container image:nginx:1.25"), "aaa");
        assert_eq!(select("--events exec --container image:nginx:1"), "");
        assert_eq!(select("--events exec --container bbbb"), "bb");
        assert_eq!(
            select("--events exec --container web --container db"),
            "baaab"
        );
        assert_eq!(select("--events connect"), "");
    }

    #[test]
    fn losses_are_counted_and_have_lines_among_findings() {
        let lost = |id: Option<char>, count| Event {
            container: id.map(|id| ContainerId::new(&id.to_string().repeat(64))),
            ..event(
                'a',
                Kind::Lost(Lost {
                    reason: LostReason::RingFull,
                    count,
                    detail: String::new(),
                }),
            )
        };
        let events = [
            info('a', "web", "x"),
            info('b', "db", "x"),
            lost(Some('a'), 5),
            lost(Some('b'), 7),
            lost(None, 0),
        ];
        let count = |flags: &str| {
            let mut lines = lines(flags);
            let mut core = Core::default();
            let mut printed = 0;
            for event in &events {
                core.apply(&Arc::new(event.clone()));
                lines.event(event, &core, &mut |line| {
                    printed += usize::from(line.starts_with(b"{\"type\":\"lost\""));
                });
            }
            (lines.lost(), printed)
        };
        assert_eq!(count("--events findings"), (13, 3));
        assert_eq!(count("--events findings --container web"), (6, 2));
        assert_eq!(count("--events exec"), (13, 0));
    }

    #[test]
    fn events_beyond_the_queue_are_counted() {
        let events = vec![exec('a'); HELD + 5];
        let mut lines = lines("--events exec --container web");
        assert_eq!(printed(&mut lines, &events), "");
        assert_eq!(lines.unheld, 5);
    }
}
