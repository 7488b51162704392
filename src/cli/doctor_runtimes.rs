//! The running containers by runtime, as `hullwatch doctor` shows them: which have no name without
//! an engine, and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::containers::RuntimeOptions;
use crate::containers::inventory::{Inventory, ListedContainer};
use crate::containers::{bundle, compare};
use crate::event::Runtime;

/// Containers without a name listed of one runtime.
const MAX_NAMELESS: usize = 8;

/// The running containers of one runtime.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeDiagnosis {
    runtime: Runtime,
    /// containerd's namespace, or the rootless user's id; empty otherwise.
    scope: String,
    pub(super) containers: usize,
    /// Ids of those whose name is in no file.
    pub(super) nameless: Vec<String>,
    /// Why, for each of them: in the same order.
    why_nameless: Vec<String>,
    /// Number of those whose image layers cannot be read, and why for the first of them.
    pub(super) without_layers: usize,
    pub(super) why_without_layers: String,
}

impl RuntimeDiagnosis {
    pub(super) fn name(&self) -> &'static str {
        match self.runtime {
            Runtime::Docker => "Docker",
            Runtime::Podman => "Podman",
            Runtime::Containerd => "containerd",
            Runtime::Crio => "CRI-O",
            Runtime::Lxc => "LXC",
            Runtime::Nspawn => "systemd-nspawn",
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
            Runtime::Unknown => "unknown runtime",
        }
    }

    /// Its lines: whether each is good, its subject and its text.
    pub(super) fn lines(&self, line: &mut dyn FnMut(bool, &str, String)) {
        let name = self.name();
        let what = match self.scope.as_str() {
            "" => name.to_owned(),
            scope => format!("{name} {scope}"),
        };
        let mut detail = format!("{} running", self.containers);
        if !self.nameless.is_empty() {
            detail += &format!(", {} without a name in any file", self.nameless.len());
        }
        line(self.nameless.is_empty(), &what, detail);
        let unnamed = self.nameless.iter().zip(&self.why_nameless);
        for (id, why) in unnamed.clone().take(MAX_NAMELESS) {
            line(false, &format!("  {id}"), why.clone());
        }
        let more = unnamed.count().saturating_sub(MAX_NAMELESS);
        if more > 0 {
            line(false, "  …", format!("and {more} more"));
        }
    }
}

fn shown_cgroup(path: &str) -> String {
    match path {
        "" => "not its own".to_owned(),
        path => path.to_owned(),
    }
}

/// The running containers by runtime, and which of them have no name without an engine.
pub(super) fn runtimes() -> Vec<RuntimeDiagnosis> {
    let (known, _) = Inventory::new(RuntimeOptions::none()).containers();
    let mut found: BTreeMap<(String, String), RuntimeDiagnosis> = BTreeMap::new();
    for ListedContainer { id, info } in known.iter().filter(|k| k.info.init_pid != 0) {
        let scope = info.owner.map_or_else(
            || info.engine_namespace.clone(),
            |owner| format!("user {owner}"),
        );
        let key = (format!("{:?}", info.runtime), scope.clone());
        let of_runtime = found.entry(key).or_insert_with(|| RuntimeDiagnosis {
            runtime: info.runtime,
            scope,
            containers: 0,
            nameless: Vec::new(),
            why_nameless: Vec::new(),
            without_layers: 0,
            why_without_layers: String::new(),
        });
        of_runtime.containers += 1;
        // These run no images.
        let has_image = !matches!(info.runtime, Runtime::Lxc | Runtime::Nspawn);
        if let Err(why) = compare::check(&info.storage)
            && has_image
        {
            of_runtime.without_layers += 1;
            if of_runtime.without_layers == 1 {
                of_runtime.why_without_layers = why;
            }
        }
        if info.name.is_empty() || (info.name == id.short() && id.name().is_none()) {
            of_runtime.nameless.push(id.short().to_owned());
            let why = bundle::why_unnamed(info.init_pid);
            of_runtime
                .why_nameless
                .push(format!("{why}; cgroup {}", shown_cgroup(&info.cgroup)));
        }
    }
    found.into_values().collect()
}
