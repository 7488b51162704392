//! The identity of a baseline: the image, and the service or command of a container.

use super::observed_action;
use crate::event::Bytes;
use crate::state::Container;

/// The parent's name for a program started by the health check.
pub const HEALTH_CHECK: &[u8] = b"health check";

/// The service of a container, and its command if it has no service: these distinguish baselines of
/// one image.
#[must_use]
pub fn container_command(container: &Container) -> (Bytes, Bytes) {
    let service = observed_action::declared_service(container);
    let command = if service.is_empty() {
        observed_action::command(&container.info.command)
    } else {
        Vec::new()
    };
    (Bytes::new(service), Bytes::from(command))
}

/// The name of an image without tag and digest.
#[must_use]
pub fn repository(image: &[u8]) -> &[u8] {
    let end = image.iter().position(|b| *b == b'@').unwrap_or(image.len());
    let bare = &image[..end];
    let slash = bare.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    match bare[slash..].iter().position(|b| *b == b':') {
        // An id is no name with a tag.
        Some(colon) if &bare[slash..slash + colon] != b"sha256" => &bare[..slash + colon],
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_alone() {
        for (image, name) in [
            ("nginx:1.25", "nginx"),
            ("nginx", "nginx"),
            ("registry:5000/a/nginx", "registry:5000/a/nginx"),
            ("registry:5000/a/nginx:1@sha256:00", "registry:5000/a/nginx"),
            ("sha256:0011", "sha256:0011"),
        ] {
            assert_eq!(repository(image.as_bytes()), name.as_bytes());
        }
    }
}
