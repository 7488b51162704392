//! Recognises the steps of image builds by the containers of each builder: Docker's classic builder
//! uses a container of its engine, BuildKit a cgroup of its own, buildah (and `podman build`) a
//! container of the runtime alone.

use bollard_stubs::models::{ContainerConfig, HostConfig};

use crate::event::{ContainerInfo, Role};

/// buildah's name for a step at the runtime: this prefix, then the name of the step's directory,
/// which begins with `buildah` and ends with a number.
const BUILDAH: &str = "buildah-buildah";
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

/// Whether a container of Docker is a step of its classic builder: it runs an image by its id, is
/// not checked for health, and its output goes to the builder instead of a log.
pub(super) fn is_classic(config: &ContainerConfig, host: &HostConfig) -> bool {
    let image = config.image.as_deref().unwrap_or_default();
    let test = config.healthcheck.as_ref().and_then(|h| h.test.as_deref());
    let log = host.log_config.as_ref().and_then(|l| l.typ.as_deref());
    image.starts_with("sha256:") && test.is_some_and(|test| test == ["NONE"]) && log == Some("none")
}

/// Notes the container's role by its cgroup and name.
pub(super) fn mark(info: &mut ContainerInfo, name: &str) {
    let (parent, leaf) = info.cgroup.rsplit_once('/').unwrap_or(("", &info.cgroup));
    if info.role == Role::Container && (is_buildkit(parent, leaf) || is_buildah(name)) {
        info.role = Role::Build;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn classic(config: serde_json::Value, host: serde_json::Value) -> bool {
        let config = serde_json::from_value(config).unwrap();
        is_classic(&config, &serde_json::from_value(host).unwrap())
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
        assert!(!classic(json!({"Image": "sha256:ab"}), none));

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
