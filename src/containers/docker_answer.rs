//! Parses the Docker engine's answers, and its own files, field by field: an invalid field is left
//! out alone, and oversized values are cut.

use bollard_stubs::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState, HostConfig, ImageInspect,
    MountPoint, NetworkSettings,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::docker_facts::{ImageFacts, container};
use crate::event::ContainerInfo;

/// The facts in the engine's answer about an image.
pub(super) fn image(answer: &Value) -> ImageFacts {
    let part = |key: &str| (key.to_owned(), answer.get(key).cloned().unwrap_or_default());
    let parts: Map<String, Value> = ["RepoDigests", "Config"].map(part).into_iter().collect();
    let image: ImageInspect = lenient(Value::Object(parts), "image", &mut Vec::new());
    ImageFacts::from_inspect(image)
}

/// Limits for one container: bytes of its labels and of its command, and entries of each list.
const MAX_LABELS: usize = 64 << 10;
const MAX_COMMAND: usize = 32 << 10;
const MAX_LIST: usize = 512;

/// The facts in an inspect answer, and the invalid fields. Fields are parsed one by one: engines
/// from API 1.24 on, and compatible ones, write some differently.
pub(super) fn from_answer(mut answer: Value, image: &ImageFacts) -> (ContainerInfo, Vec<String>) {
    let mut odd = Vec::new();
    let mut take = |key: &str| match answer.get_mut(key) {
        Some(value) => value.take(),
        None => Value::Null,
    };
    let state: Option<ContainerState> = part(take("State"), "State", &mut odd);
    let config: Option<ContainerConfig> = part(take("Config"), "Config", &mut odd);
    let host: Option<HostConfig> = part(take("HostConfig"), "HostConfig", &mut odd);
    let network: Option<NetworkSettings> =
        part(take("NetworkSettings"), "NetworkSettings", &mut odd);
    let mounts: Vec<MountPoint> = match take("Mounts") {
        Value::Array(mounts) => mounts
            .into_iter()
            .take(MAX_LIST)
            .filter(Value::is_object)
            .filter_map(|mount| part(mount, "Mounts", &mut odd))
            .collect(),
        _ => Vec::new(),
    };
    let rest: ContainerInspectResponse = lenient(answer, "container", &mut odd);
    let mut info = container(
        ContainerInspectResponse {
            state,
            config,
            host_config: host,
            network_settings: network,
            mounts: Some(mounts),
            ..rest
        },
        image,
    );
    bound(&mut info, &mut odd);
    (info, odd)
}

fn part<T: DeserializeOwned + Default>(
    value: Value,
    name: &str,
    odd: &mut Vec<String>,
) -> Option<T> {
    (!value.is_null()).then(|| lenient(value, name, odd))
}

/// Parses an object without its invalid fields, whose names go to `odd`.
fn lenient<T: DeserializeOwned + Default>(value: Value, name: &str, odd: &mut Vec<String>) -> T {
    if let Ok(whole) = T::deserialize(&value) {
        return whole;
    }
    let Value::Object(fields) = value else {
        odd.push(format!("{name} cannot be read"));
        return T::default();
    };
    let mut readable = Map::new();
    for (key, field) in fields {
        let alone = Value::Object([(key.clone(), field)].into_iter().collect());
        if T::deserialize(&alone).is_ok() {
            if let Value::Object(alone) = alone {
                readable.extend(alone);
            }
        } else if odd.len() < 16 {
            let key: String = key.chars().take(64).collect();
            odd.push(format!("{name}.{key} cannot be read"));
        }
    }
    T::deserialize(Value::Object(readable)).unwrap_or_default()
}

/// Cuts oversized values; notes that in `odd`.
fn bound(info: &mut ContainerInfo, odd: &mut Vec<String>) {
    let mut left = MAX_LABELS;
    let labels = info.labels.len();
    info.labels.retain(|key, value| {
        let size = key.len() + value.len();
        let fits = size <= left;
        left = if fits { left - size } else { left };
        fits
    });
    if info.labels.len() < labels {
        let cut = labels - info.labels.len();
        odd.push(format!("{cut} labels were left out: too large"));
    }
    let mut left = MAX_COMMAND;
    let arguments = info.command.len();
    info.command.retain(|argument| {
        let fits = argument.len() <= left;
        left = if fits { left - argument.len() } else { 0 };
        fits
    });
    if info.command.len() < arguments {
        odd.push("its command was cut: too large".to_owned());
    }
    let lists = [info.exposed.len(), info.ports.len(), info.networks.len()];
    if lists.iter().any(|length| *length > MAX_LIST) {
        info.exposed.truncate(MAX_LIST);
        info.ports.truncate(MAX_LIST);
        while info.networks.len() > MAX_LIST {
            info.networks.pop_last();
        }
        odd.push("its ports and networks were cut: too many".to_owned());
    }
}

/// The facts in Docker's own files about a container, `config.v2.json` and `hostconfig.json`, which
/// have the fields of an inspect answer.
pub(super) fn from_files(mut own: Value, host: Value) -> ContainerInfo {
    if let Value::Object(fields) = &mut own {
        // These two are of another form, or of the run before.
        fields.remove("State");
        fields.remove("NetworkSettings");
        let mounts = match fields.remove("MountPoints") {
            Some(Value::Object(points)) => points.into_iter().map(|(_, point)| point).collect(),
            _ => Vec::new(),
        };
        fields.insert("Mounts".to_owned(), Value::Array(mounts));
        fields.insert("HostConfig".to_owned(), host);
    }
    from_answer(own, &ImageFacts::default()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_field_loses_only_itself() {
        let answer = serde_json::json!({
            "Id": "aa", "Name": "/web", "Created": 12, "RestartCount": "often",
            "Image": "sha256:beef", "Path": "/bin/sh", "Args": "-c",
            "State": {"Status": "hibernating", "Pid": 42, "StartedAt": {}, "Health": 3},
            "Config": {"Image": "web:1", "User": 7, "Labels": {"a": "b"}},
            "HostConfig": {"Memory": "lots", "Privileged": true},
            "Mounts": [7, {"Type": "bind", "Source": "/srv", "Destination": "/data"}],
            "NetworkSettings": "none"
        });
        let (info, odd) = from_answer(answer, &ImageFacts::default());
        assert_eq!((info.name, info.image), ("web".into(), "web:1".into()));
        assert_eq!(info.init_pid, 42);
        assert_eq!(info.labels["a"], "b");
        assert!(info.security.privileged);
        assert_eq!(info.mounts.len(), 1);
        for field in [
            "State.Status",
            "Config.User",
            "HostConfig.Memory",
            "container.Args",
        ] {
            assert!(odd.iter().any(|o| o.contains(field)), "{field}: {odd:?}");
        }
        let (nothing, odd) = from_answer(serde_json::json!([]), &ImageFacts::default());
        assert_eq!(nothing.name, "");
        assert!(!odd.is_empty());
    }

    #[test]
    fn labels_and_commands_are_bounded_and_the_cut_is_reported() {
        let labels: serde_json::Map<_, _> = (0..100)
            .map(|n| (format!("l{n:03}"), Value::String("x".repeat(2000))))
            .collect();
        let answer = serde_json::json!({"Name": "/a", "Path": "sh", "Args": ["x".repeat(40_000)],
            "Config": {"Labels": labels}});
        let (info, odd) = from_answer(answer, &ImageFacts::default());
        let bytes: usize = info.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
        assert!(bytes <= MAX_LABELS && info.labels.len() > 20);
        assert_eq!(info.command.len(), 1);
        assert_eq!(odd.len(), 2, "{odd:?}");
    }
}
