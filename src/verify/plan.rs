//! The settings of a container's copy: its own, without those that would have effects outside the
//! copy.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, Mount, MountType,
    NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::error::VerifyError;
use crate::advice::{Advice, Setting};
use crate::baseline::{Baseline, Facet, ItemField};
use crate::catalog::path::is_below;
use crate::event::escape;
use crate::render::seccomp_profile;

/// The label of copies and of their volumes.
pub(super) const LABEL: &str = "hullwatch.verify";

/// The settings of a copy.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyPlan {
    pub(super) body: ContainerCreateBody,
    /// Directories that get a volume of their own.
    pub(super) volumes: Vec<String>,
    /// Networks besides the first.
    pub(super) networks: Vec<String>,
    /// Differences between the copy and the container, as text.
    pub(super) notes: Vec<String>,
}

/// The plan of an unchanged copy. `read_only` for a bind mount that no process was seen writing to.
pub(super) fn control(
    of: &ContainerInspectResponse,
    baseline: &Baseline,
    isolated: bool,
) -> Result<CopyPlan, VerifyError> {
    let config = of.config.clone().unwrap_or_default();
    let body = serde_json::to_value(config).and_then(serde_json::from_value);
    let mut body: ContainerCreateBody =
        body.map_err(|e| VerifyError(format!("the engine's description cannot be used: {e}")))?;
    let mut host = of.host_config.clone().unwrap_or_default();
    let mut plan = CopyPlan::default();
    // The id, so that the copy runs the same image though its name may point elsewhere.
    body.image.clone_from(&of.image);
    body.hostname = None;
    body.domainname = None;
    body.volumes = None;
    body.exposed_ports = None;
    body.attach_stdin = Some(false);
    body.attach_stdout = Some(false);
    body.attach_stderr = Some(false);
    body.labels = Some(HashMap::from([(LABEL.to_owned(), label())]));
    // hullwatch runs it itself.
    body.healthcheck = Some(HealthConfig {
        test: Some(vec!["NONE".to_owned()]),
        ..HealthConfig::default()
    });
    host.port_bindings = None;
    host.publish_all_ports = Some(false);
    host.restart_policy = Some(RestartPolicy {
        name: Some(RestartPolicyNameEnum::NO),
        maximum_retry_count: None,
    });
    host.auto_remove = Some(false);
    host.links = None;
    host.container_id_file = None;
    host.binds = None;
    host.volumes_from = None;
    for mode in [&mut host.ipc_mode, &mut host.pid_mode] {
        if mode.as_deref().is_some_and(|m| m.starts_with("container:")) {
            *mode = None;
        }
    }
    mounts(of, baseline, &mut host, &mut plan);
    network(of, isolated, &mut body, &mut host, &mut plan);
    body.host_config = Some(host);
    plan.body = body;
    Ok(plan)
}

/// The value of the label: the copied container.
fn label() -> String {
    std::process::id().to_string()
}

fn mounts(
    of: &ContainerInspectResponse,
    baseline: &Baseline,
    host: &mut HostConfig,
    plan: &mut CopyPlan,
) {
    let mut kept: Vec<Mount> = host.mounts.take().unwrap_or_default();
    kept.retain(|mount| mount.typ == Some(MountType::TMPFS));
    for mount in of.mounts.iter().flatten() {
        let (Some(source), Some(at)) = (&mount.source, &mount.destination) else {
            continue;
        };
        let name = escape(at.as_bytes());
        match mount.typ.as_deref() {
            Some("volume") => plan.volumes.push(at.clone()),
            Some("bind") if is_socket(source) => {
                plan.notes
                    .push(format!("{name} is left out: a socket of the host"));
            }
            Some("bind") => {
                let written = mount.rw != Some(false) && is_written(baseline, at.as_bytes());
                if written {
                    plan.notes.push(format!(
                        "{name} is a new, empty volume: the container writes there"
                    ));
                    plan.volumes.push(at.clone());
                    continue;
                }
                if mount.rw != Some(false) {
                    plan.notes.push(format!(
                        "{name} is read-only: the container was not seen to write there"
                    ));
                }
                kept.push(Mount {
                    target: Some(at.clone()),
                    source: Some(source.clone()),
                    typ: Some(MountType::BIND),
                    read_only: Some(true),
                    ..Mount::default()
                });
            }
            _ => {}
        }
    }
    host.mounts = Some(kept);
}

fn is_socket(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(Path::new(path)).is_ok_and(|m| m.file_type().is_socket())
}

fn is_written(baseline: &Baseline, at: &[u8]) -> bool {
    baseline.too_large.contains(&Facet::Write)
        || baseline
            .facet(Facet::Write)
            .any(|(item, _)| is_below(item.get(ItemField::Path), at))
}

fn network(
    of: &ContainerInspectResponse,
    isolated: bool,
    body: &mut ContainerCreateBody,
    host: &mut HostConfig,
    plan: &mut CopyPlan,
) {
    let mode = host.network_mode.clone().unwrap_or_default();
    // On these the copy's ports would be the original's.
    let shared = mode == "host" || mode.starts_with("container:");
    if shared {
        let of = escape(mode.as_bytes());
        plan.notes.push(format!(
            "no network: on the network of the container ({of}) its ports are in use"
        ));
    }
    if shared || isolated {
        host.network_mode = Some("none".to_owned());
        body.networking_config = None;
        return;
    }
    let names = of
        .network_settings
        .as_ref()
        .and_then(|s| s.networks.as_ref());
    let mut others: Vec<String> = names.into_iter().flat_map(|n| n.keys().cloned()).collect();
    others.sort();
    others.retain(|name| *name != mode && mode != "default" && mode != "none");
    if mode != "none" {
        plan.notes.push(
            "the copies are on the networks of the container; --isolated keeps them off".to_owned(),
        );
    }
    plan.networks = others;
    body.networking_config = Some(NetworkingConfig {
        endpoints_config: None,
    });
}

/// Adds advice; advice that a copy cannot test is left out, see [`is_tried`].
pub(super) fn harden(plan: &CopyPlan, advice: &[Advice]) -> CopyPlan {
    let mut plan = plan.clone();
    let mut host = plan.body.host_config.take().unwrap_or_default();
    let is_mounted = |host: &HostConfig, plan: &CopyPlan, path: &str| {
        let mounts = host.mounts.iter().flatten();
        plan.volumes.iter().any(|at| at == path)
            || mounts
                .filter_map(|m| m.target.as_deref())
                .any(|at| at == path)
    };
    for advice in advice {
        match &advice.setting {
            Setting::Capabilities(add) => {
                host.privileged = Some(false);
                host.cap_drop = Some(vec!["ALL".to_owned()]);
                host.cap_add = Some(add.clone());
            }
            Setting::NoNewPrivileges => {
                let options = host.security_opt.get_or_insert_default();
                options.retain(|option| !option.starts_with("no-new-privileges"));
                options.push("no-new-privileges".to_owned());
            }
            Setting::ReadOnly(directories) => {
                host.readonly_rootfs = Some(true);
                for directory in directories {
                    // The engine takes only text.
                    let Ok(path) = std::str::from_utf8(&directory.path) else {
                        continue;
                    };
                    if is_mounted(&host, &plan, path) {
                        continue;
                    }
                    if directory.volume {
                        plan.volumes.push(path.to_owned());
                    } else {
                        let tmpfs = host.tmpfs.get_or_insert_default();
                        tmpfs.insert(path.to_owned(), directory.tmpfs_options());
                    }
                }
            }
            Setting::Memory(bytes) => {
                host.memory = i64::try_from(*bytes).ok();
                host.memory_swap = None;
                host.memory_reservation = None;
            }
            Setting::Pids(tasks) => host.pids_limit = Some(i64::from(*tasks)),
            Setting::User(uid) => plan.body.user = Some(format!("{uid}:{uid}")),
            Setting::NoNetwork => {
                host.network_mode = Some("none".to_owned());
                plan.networks.clear();
            }
            Setting::Seccomp(profile) => {
                let options = host.security_opt.get_or_insert_default();
                options.retain(|option| !option.starts_with("seccomp"));
                // The engine takes the profile itself.
                options.push(format!("seccomp={}", seccomp_profile(profile)));
            }
            Setting::SeccompDefault | Setting::InternalNetwork | Setting::Peers(_) => {}
        }
    }
    plan.body.host_config = Some(host);
    plan
}

/// A copy can show whether this advice works.
pub(super) fn is_tried(advice: &Advice) -> bool {
    advice.verdict.is_advised()
        && !matches!(
            advice.setting,
            Setting::SeccompDefault | Setting::InternalNetwork | Setting::Peers(_)
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::advice::{Verdict, WritableDirectory};
    use crate::baseline::{BaselineItem, Facts};
    use serde_json::json;

    fn inspected() -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": "a", "Image": "sha256:1",
            "Config": {
                "Image": "nginx:1", "Cmd": ["nginx"], "Env": ["A=b"], "User": "",
                "Labels": {"com.docker.compose.service": "web"},
                "Volumes": {"/data": {}}, "ExposedPorts": {"80/tcp": {}},
                "Healthcheck": {"Test": ["CMD-SHELL", "true"]}
            },
            "HostConfig": {
                "NetworkMode": "app", "Binds": ["/srv/web:/web"], "Privileged": true,
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]},
                "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
                "SecurityOpt": ["label=disable"], "AutoRemove": true, "Links": ["db"],
            },
            "Mounts": [
                {"Type": "volume", "Name": "v", "Source": "/v", "Destination": "/data", "RW": true},
                {"Type": "bind", "Source": "/srv/web", "Destination": "/web", "RW": true},
                {"Type": "bind", "Source": "/srv/up", "Destination": "/up", "RW": true},
            ],
            "NetworkSettings": {"Networks": {"app": {"Aliases": ["web"]}, "db": {}}}
        }))
        .unwrap()
    }

    fn baseline() -> Baseline {
        let mut baseline = Baseline::default();
        let item = BaselineItem::new(Facet::Write, [(ItemField::Path, &b"/up/x"[..])]);
        baseline.items.insert(item, Facts::default());
        baseline
    }

    #[test]
    fn a_copy_reaches_nothing_of_the_original() {
        let plan = control(&inspected(), &baseline(), false).unwrap();
        let host = plan.body.host_config.clone().unwrap();
        assert_eq!(plan.body.image.as_deref(), Some("sha256:1"));
        assert_eq!(plan.body.env, Some(vec!["A=b".to_owned()]));
        let labels = plan.body.labels.unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), [LABEL]);
        assert_eq!(host.port_bindings, None);
        assert_eq!(host.binds, None);
        assert_eq!(host.links, None);
        assert_eq!(host.auto_remove, Some(false));
        let restart = host.restart_policy.unwrap();
        assert_eq!(restart.name, Some(RestartPolicyNameEnum::NO));
        // The volume and the directory that is written are its own, the other one is read-only.
        assert_eq!(plan.volumes, ["/data", "/up"]);
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].target.as_deref(), Some("/web"));
        assert_eq!(mounts[0].read_only, Some(true));
        // The container's networks, without the service's name.
        assert_eq!(plan.networks, ["db"]);
        let isolated = control(&inspected(), &baseline(), true).unwrap();
        assert!(isolated.networks.is_empty());
        let host = isolated.body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
    }

    #[test]
    fn on_the_hosts_network_a_copy_has_none() {
        for mode in ["host", "container:abc"] {
            let mut of = inspected();
            of.host_config.as_mut().unwrap().network_mode = Some(mode.to_owned());
            let plan = control(&of, &baseline(), false).unwrap();
            let host = plan.body.host_config.unwrap();
            assert_eq!(host.network_mode.as_deref(), Some("none"));
            assert!(plan.notes.iter().any(|n| n.contains(mode)), "{mode}");
        }
    }

    #[test]
    fn advice_replaces_what_the_container_has() {
        let plan = control(&inspected(), &baseline(), false).unwrap();
        let directory = |path: &str, volume| WritableDirectory {
            path: path.into(),
            volume,
            exec: false,
            uid: None,
            size: 16,
        };
        let all = [
            Setting::Capabilities(vec!["CHOWN".to_owned()]),
            Setting::NoNewPrivileges,
            Setting::ReadOnly(vec![
                directory("/run", false),
                directory("/var/lib/x", true),
                // It has a volume there already.
                directory("/data", false),
            ]),
            Setting::Memory(64 << 20),
            Setting::User(9),
        ];
        let all = all.map(|setting| Advice {
            setting,
            verdict: Verdict::Safe,
            why: Vec::new(),
        });
        let hard = harden(&plan, &all);
        let host = hard.body.host_config.unwrap();
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, Some(vec!["CHOWN".to_owned()]));
        let options = host.security_opt.unwrap();
        assert_eq!(options, ["label=disable", "no-new-privileges"]);
        assert_eq!(host.readonly_rootfs, Some(true));
        let tmpfs = host.tmpfs.unwrap();
        assert_eq!(tmpfs.keys().collect::<Vec<_>>(), ["/run"]);
        assert_eq!(tmpfs["/run"], "size=16m");
        assert_eq!(hard.volumes, ["/data", "/up", "/var/lib/x"]);
        assert_eq!(host.memory, Some(64 << 20));
        assert_eq!(hard.body.user.as_deref(), Some("9:9"));
    }
}
