//! Libraries that are not in the image and were already loaded when watching began.

use super::drift_grade::{self, Installations};
use crate::catalog::{self, paths};
use crate::detect::alert::{Alert, Alerts};
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::{Severity, program_roles};
use crate::event::{Bytes, Difference, DriftScan, Mapped, Origin, Process};

/// Maximum number of libraries of one container that wait for the comparison.
const MAX_LOADED: usize = 128;

/// Libraries found in processes, by pid, until the comparison shows whether a package installed
/// them.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadedLibraries(Vec<(u32, Bytes)>);

impl RuleMemory for LoadedLibraries {
    fn heap_bytes(&self) -> usize {
        self.0.len() * 96
    }
}

pub(super) fn examine(
    ctx: &RuleContext<'_>,
    memory: &mut LoadedLibraries,
    process: &Process,
) -> Alerts {
    let mut alerts = Alerts::none();
    for mapped in &process.mapped {
        if ctx.made_at_start(mapped.file.ctime) || paths::in_package_tree(&mapped.path) {
            continue;
        }
        let origin = mapped.file.origin();
        if mapped.preloaded || (origin == Origin::Tmpfs && !unpacks(ctx, process)) {
            alerts.push(loaded(ctx, process, mapped));
        } else if origin == Origin::Upper && !unpacks(ctx, process) && memory.0.len() < MAX_LOADED {
            memory.0.push((ctx.event.pid, mapped.path.clone()));
        }
    }
    alerts
}

/// Language runtimes load libraries that they unpack from their archives.
fn unpacks(ctx: &RuleContext<'_>, process: &Process) -> bool {
    let name = program_roles::name(&process.exe, &process.argv);
    ctx.names().is_interpreter(name) || catalog::programs::UNPACKING_RUNTIMES.contains(&name)
}

fn loaded(ctx: &RuleContext<'_>, process: &Process, mapped: &Mapped) -> Alert {
    let severity = if mapped.preloaded {
        Severity::High
    } else {
        Severity::Medium
    };
    let alert = ctx.alert(severity, &mapped.path, |explanation| {
        explanation.title = title(&mapped.path);
        let command = program_roles::command_line(&process.argv, &process.exe, 160);
        explanation.why.push(format!("loaded by: {command}"));
        if mapped.preloaded {
            let line = "named by LD_PRELOAD or LD_AUDIT of the process: it is loaded before all \
                        others";
            explanation.why.push(line.to_owned());
        }
        if process.mapped_more > 0 {
            let line = format!("+{} more such files mapped", process.mapped_more);
            explanation.why.push(line);
        }
    });
    alert
        .already_since(process.started)
        .follows(ctx.event.pid)
        .history_of(&mapped.path)
}

fn title(path: &Bytes) -> String {
    format!(
        "Loaded a library that is not in the image: {}",
        path.escaped()
    )
}

/// The comparison is done: a library from no package and no start-up was planted.
pub(super) fn compared(
    ctx: &RuleContext<'_>,
    memory: &mut LoadedLibraries,
    scan: &DriftScan,
) -> Alerts {
    let loaded = std::mem::take(&mut memory.0);
    if loaded.is_empty() {
        return Alerts::none();
    }
    let installed = Installations::of(scan);
    let judged = loaded.into_iter().filter_map(|(pid, path)| {
        let mut entries = scan.entries.iter();
        let entry = entries.find(|entry| entry.path == path)?;
        let written = matches!(entry.difference, Difference::Added | Difference::Changed);
        let grade = drift_grade::of(ctx, scan, &installed, entry)?;
        if !written || entry.metadata_only || grade.severity == Severity::Info {
            return None;
        }
        let process = ctx.state.processes.get(&pid)?;
        let alert = ctx.alert(Severity::Medium, &path, |explanation| {
            explanation.title = title(&path);
            let command = program_roles::command_line(&process.argv, &process.exe, 160);
            explanation.why.push(format!("loaded by: {command}"));
            let at = entry.ctime.to_jiff().strftime("%Y-%m-%d %H:%M:%SZ");
            explanation
                .why
                .push(format!("the library was changed at {at}"));
        });
        Some(alert.already_since(process.started).follows(pid))
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use crate::detect::Severity;
    use crate::detect::testkit::{World, added, tmpfs, upper};
    use crate::event::{DriftScan, FileClass, FileFacts, Kind, Mapped};

    fn maps(path: &str, file: FileFacts, preloaded: bool, exe: &str) -> Option<Severity> {
        let mut w = World::found();
        let init = w.init();
        w.found_process(init, exe, &[exe], |p| {
            p.mapped = vec![Mapped {
                path: path.into(),
                file,
                preloaded,
            }];
        });
        let scan = DriftScan {
            entries: vec![added(path, FileClass::Library)],
            ..DriftScan::default()
        };
        w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
        w.all("drift.library").first().map(|f| f.severity)
    }

    #[test]
    fn a_library_loaded_before_is_ranked_by_its_process() {
        let nginx = "/usr/sbin/nginx";
        assert_eq!(
            maps("/tmp/l.so", upper(5), true, nginx),
            Some(Severity::High)
        );
        assert_eq!(
            maps("/tmp/l.so", upper(5), false, nginx),
            Some(Severity::Medium)
        );
        assert_eq!(
            maps("/run/l.so", tmpfs(5), false, nginx),
            Some(Severity::Medium)
        );
        // Unpacked by a runtime, and installed by a language package.
        assert_eq!(
            maps("/tmp/libjna.so", upper(5), false, "/usr/bin/java"),
            None
        );
        let module = "/usr/lib/python3/dist-packages/x.so";
        assert_eq!(maps(module, upper(5), false, nginx), None);
    }

    #[test]
    fn in_the_writable_layer_the_comparison_decides() {
        let compared = |package: Option<&str>, class| {
            let mut w = World::found();
            let init = w.init();
            let path = "/usr/lib/l.so";
            w.found_process(init, "/usr/sbin/nginx", &["nginx"], |p| {
                p.mapped = vec![Mapped {
                    path: path.into(),
                    file: upper(5),
                    preloaded: false,
                }];
            });
            w.none("drift.library");
            let mut entry = added(path, class);
            entry.package = package.map(Into::into);
            let scan = DriftScan {
                entries: vec![entry],
                ..DriftScan::default()
            };
            w.emit(0, 0, Kind::DriftScan(Box::new(scan)));
            !w.all("drift.library").is_empty()
        };
        assert!(compared(None, FileClass::Library));
        assert!(!compared(Some("libl1"), FileClass::Library));
    }
}
