//! Parses the Docker engine's events. Fields are parsed one by one: engines from API 1.24 on and
//! Podman write them differently.

use serde_json::Value;

use crate::event::{Bytes, ContainerAction, ContainerId, Timestamp};
use crate::system::{SessionClock, now};

/// The meaning of an engine event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DockerEvent {
    /// A change in a container's life.
    Container(Timestamp, ContainerId, ContainerAction),
    /// A command was started in a container; the engine reports no more about it (Podman).
    Client(ContainerId),
    /// An image's name may refer to another image now; whether an image got a name, with which a build ends.
    ImageNames { tagged: bool },
}

/// Ids become part of requests: only letters and digits.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Parses an event; `None` if it has no meaning here.
pub(super) fn read_event(event: &Value) -> Option<DockerEvent> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    // Engines before API 1.22 have `status` and `id` only.
    let action = text("/Action").or_else(|| text("/status"))?;
    if text("/Type") == Some("image") {
        let moves = matches!(
            action,
            "tag" | "untag" | "pull" | "load" | "import" | "create" | "delete" | "remove"
        );
        let tagged = action == "tag";
        return moves.then_some(DockerEvent::ImageNames { tagged });
    }
    let id = text("/Actor/ID")
        .or_else(|| text("/id"))
        .filter(|id| is_id(id))?;
    let id = ContainerId::new(id);
    let (verb, rest) = action.split_once(": ").unwrap_or((action, ""));
    let code = || {
        let code = event.pointer("/Actor/Attributes/exitCode")?;
        let code = code.as_i64();
        code.or_else(|| text("/Actor/Attributes/exitCode")?.parse().ok())
    };
    let action = match verb {
        "create" => ContainerAction::Created,
        "start" => ContainerAction::Started,
        "die" | "died" => ContainerAction::Died(code().unwrap_or(-1)),
        "oom" => ContainerAction::Oom,
        "destroy" => ContainerAction::Removed,
        "pause" => ContainerAction::Paused,
        "unpause" => ContainerAction::Unpaused,
        "rename" => ContainerAction::Renamed,
        "health_status" => ContainerAction::Health(rest.to_owned()),
        "exec_start" => ContainerAction::ExecStarted(Bytes::from(rest)),
        "extract-to-dir" => ContainerAction::CopiedIn,
        "exec" => return Some(DockerEvent::Client(id)),
        // `restart` follows the start it caused; `update` changes limits: only the facts change.
        "restart" | "update" => ContainerAction::Info,
        _ => return None,
    };
    let number = |key: &str| event.get(key).and_then(Value::as_i64);
    let ts = number("timeNano")
        .or_else(|| number("time")?.checked_mul(1_000_000_000))
        .map_or_else(now, |nanoseconds| {
            SessionClock::of_this_program().just_stamped(Timestamp(nanoseconds))
        });
    Some(DockerEvent::Container(ts, id, action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(action: &str) -> Option<ContainerAction> {
        let event = json!({"Type": "container", "Action": action,
            "Actor": {"ID": "abc", "Attributes": {"exitCode": "137"}}, "timeNano": 42});
        match read_event(&event)? {
            DockerEvent::Container(ts, id, action) => {
                assert_eq!((ts, id.as_str()), (Timestamp(42), "abc"));
                Some(action)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn understands_engine_events() {
        assert_eq!(read("start"), Some(ContainerAction::Started));
        assert_eq!(read("die"), Some(ContainerAction::Died(137)));
        assert_eq!(
            read("health_status: unhealthy"),
            Some(ContainerAction::Health("unhealthy".into()))
        );
        assert_eq!(
            read("exec_start: sh -c id: x"),
            Some(ContainerAction::ExecStarted("sh -c id: x".into()))
        );
        assert_eq!(read("exec_create: sh"), None);
        assert_eq!(read("extract-to-dir"), Some(ContainerAction::CopiedIn));
        assert_eq!(read("archive-path"), None);
        assert_eq!(read("attach"), None);
    }

    #[test]
    fn odd_fields_lose_only_themselves() {
        let old = json!({"status": "die", "id": "abc", "time": "soon"});
        assert!(matches!(
            read_event(&old),
            Some(DockerEvent::Container(_, _, ContainerAction::Died(-1)))
        ));
        let podman = json!({"Type": "container", "Action": "died", "Actor": {"ID": "abc",
            "Attributes": {"exitCode": 3}}, "time": 1, "timeNano": {}});
        assert_eq!(
            read_event(&podman),
            Some(DockerEvent::Container(
                Timestamp(1_000_000_000),
                ContainerId::new("abc"),
                ContainerAction::Died(3)
            ))
        );
        let tag = json!({"Type": "image", "Action": "tag"});
        assert_eq!(
            read_event(&tag),
            Some(DockerEvent::ImageNames { tagged: true })
        );
        let other = json!({"Type": "image", "Action": "push"});
        assert_eq!(read_event(&other), None);
        let path = json!({"Action": "start", "Actor": {"ID": "../x"}});
        assert_eq!(read_event(&path), None);
        assert_eq!(read_event(&Value::Null), None);
    }
}
