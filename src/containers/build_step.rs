//! Recognises the steps of image builds by the containers of each builder: Docker's classic builder
//! uses a container of its engine, BuildKit a cgroup of its own, buildah (and `podman build`) a
//! container of the runtime alone.

use bollard_stubs::models::{ContainerConfig, HostConfig};

use super::proc_files::{parent_of, read_stat, split_argv};
use crate::event::{ContainerInfo, Role};

/// buildah's name for a step at the runtime: this prefix, then the name of the step's directory,
/// which begins with `buildah` and ends with a number.
const BUILDAH: &str = "buildah-buildah";
/// The process between buildah and the runtime, by its first argument.
const BUILDAH_HELPER: &str = "buildah-oci-runtime";
/// Ancestors of a step's first process that are examined: the runtime and that process.
const MAX_ANCESTORS: usize = 4;
/// Characters of a BuildKit step's id.
const BUILDKIT_ID: usize = 25;

/// Whether a cgroup is that of a BuildKit step: `…/buildkit/ID`, or with systemd `docker-ID.scope`.
pub(super) fn is_buildkit(parent: &str, leaf: &str) -> bool {
    let id = match leaf.strip_suffix(".scope") {
        Some(scope) => scope.strip_prefix("docker-"),
        None => (parent.rsplit('/').next() == Some("buildkit")).then_some(leaf),
    };
    id.is_some_and(|id| id.len() == BUILDKIT_ID && id.bytes().all(is_lower_alnum))
}

fn is_lower_alnum(b: u8) -> bool {
    b.is_ascii_digit() || b.is_ascii_lowercase()
}

/// Whether the runtime's name of a container is one that buildah gives a step.
fn is_buildah(name: &str) -> bool {
    let number = name.strip_prefix(BUILDAH);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether this command is one of the classic builder's that run nothing, as for `LABEL`.
pub(super) fn runs_nothing<'a>(mut command: impl Iterator<Item = &'a [u8]>) -> bool {
    command.any(|word| word.starts_with(b"#(nop)"))
}

/// Whether a container of Docker is a step of its classic builder: it runs an image by its id, runs
/// nothing or is not checked for health, and its output goes to the builder instead of a log.
pub(super) fn is_classic(config: &ContainerConfig, host: &HostConfig) -> bool {
    let image = config.image.as_deref().unwrap_or_default();
    let test = config.healthcheck.as_ref().and_then(|h| h.test.as_deref());
    let log = host.log_config.as_ref().and_then(|l| l.typ.as_deref());
    let unchecked = test.is_some_and(|test| test == ["NONE"]);
    let words = config.cmd.iter().flatten().map(String::as_bytes);
    image.starts_with("sha256:") && (unchecked || runs_nothing(words)) && log == Some("none")
}

/// Notes the container's role by its cgroup and name, and the build of a step of buildah.
pub(super) fn mark(info: &mut ContainerInfo, name: &str) {
    let (parent, leaf) = info.cgroup.rsplit_once('/').unwrap_or(("", &info.cgroup));
    let buildah = is_buildah(name);
    if info.role == Role::Container && (is_buildkit(parent, leaf) || buildah) {
        info.role = Role::Build;
    }
    if buildah && let Some(build) = buildah_above(info.init_pid) {
        info.build = build;
    }
}

/// The buildah (or Podman) that runs a step: one process for a whole build.
fn buildah_above(step: u32) -> Option<String> {
    let mut next = step;
    for _ in 0..MAX_ANCESTORS {
        next = parent_of(next).filter(|parent| *parent > 1)?;
        let argv = split_argv(&std::fs::read(format!("/proc/{next}/cmdline")).ok()?);
        if argv.first().is_some_and(|name| *name == BUILDAH_HELPER) {
            let builder = parent_of(next)?;
            let (_, start) = read_stat(&std::fs::read(format!("/proc/{builder}/stat")).ok()?)?;
            return Some(format!("buildah {builder} {start}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn classic(config: serde_json::Value, host: serde_json::Value) -> bool {
        let config = serde_json::from_value(config).unwrap();
        is_classic(&config, &serde_json::from_value(host).unwrap())
    }

    /// What buildah starts: a process of its own under another name, and in it the runtime.
    #[test]
    fn a_step_of_buildah_belongs_to_the_process_that_builds() {
        let step = "exec -a buildah-oci-runtime sh -c 'sleep 60 & echo $!; wait'";
        let mut helper = std::process::Command::new("bash")
            .args(["-c", step])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(helper.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let init_pid: u32 = line.trim().parse().unwrap();
        let build_of = |name: &str| {
            let mut info = ContainerInfo {
                init_pid,
                ..ContainerInfo::default()
            };
            mark(&mut info, name);
            info.build
        };
        let build = build_of("buildah-buildah77");
        let own = format!("buildah {} ", std::process::id());
        assert!(build.starts_with(&own), "{build}");
        assert_eq!(build_of("web"), "");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(i32::try_from(init_pid).unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        helper.wait().unwrap();
    }

    #[test]
    fn steps_are_distinguished_from_containers() {
        let none = json!({"LogConfig": {"Type": "none"}});
        let step = json!({"Image": "sha256:ab", "Healthcheck": {"Test": ["NONE"]}});
        assert!(classic(step.clone(), none.clone()));
        // `docker run --no-healthcheck`, `--log-driver none`, and by the image's id.
        assert!(!classic(step, json!({"LogConfig": {"Type": "json-file"}})));
        let named = json!({"Image": "web:1", "Healthcheck": {"Test": ["NONE"]}});
        assert!(!classic(named, none.clone()));
        assert!(!classic(json!({"Image": "sha256:ab"}), none.clone()));
        let command = ["/bin/sh", "-c", "#(nop) ", "LABEL a=b"];
        assert!(classic(json!({"Image": "sha256:ab", "Cmd": command}), none));

        let role = |cgroup: &str, name: &str| {
            let mut info = ContainerInfo {
                cgroup: cgroup.to_owned(),
                ..ContainerInfo::default()
            };
            mark(&mut info, name);
            info.role
        };
        let id = "u9yuxczyqhcmlxlbmkm6sdpcl";
        let scope = format!("/system.slice/docker-{id}.scope");
        for (cgroup, name) in [
            ("/docker/buildkit/u9yuxczyqhcmlxlbmkm6sdpcl", id),
            (&scope, id),
            ("", "buildah-buildah2034958712"),
        ] {
            assert_eq!(role(cgroup, name), Role::Build, "{cgroup} {name}");
        }
        for (cgroup, name) in [
            ("/docker/u9yuxczyqhcmlxlbmkm6sdpcl", id),
            ("/system.slice/docker-web.scope", "web"),
            ("/docker/buildkit", "buildkit"),
            ("", "buildah-working-container"),
            ("", "buildah-buildah"),
        ] {
            assert_eq!(role(cgroup, name), Role::Container, "{cgroup} {name}");
        }
    }
}
