//! Images: identity, and the containers that run from each.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use super::tally::{drifted, found};
use crate::core::Core;
use crate::detect::Severity;
use crate::event::{Bytes, ContainerInfo, Role, Timestamp};
use crate::state::Container;

/// Key of an image: the digest, or where none is known the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::tui) struct ImageKey {
    name: Bytes,
    pub(in crate::tui) digest: String,
}

impl ImageKey {
    /// The image of a container; `None` where it is not known.
    pub(in crate::tui) fn of(info: &ContainerInfo) -> Option<Self> {
        let known = !info.image.is_empty() || !info.image_digest.is_empty();
        known.then(|| Self {
            name: info.image.clone(),
            digest: info.image_digest.clone(),
        })
    }

    /// Whether a container runs from it.
    pub(in crate::tui) fn holds(&self, info: &ContainerInfo) -> bool {
        self.name == info.image && self.digest == info.image_digest
    }

    /// Its name, escaped; else its digest.
    pub(in crate::tui) fn title(&self) -> String {
        if self.name.is_empty() {
            self.short()
        } else {
            self.name.escaped().to_string()
        }
    }

    /// Its digest, shortened.
    pub(in crate::tui) fn short(&self) -> String {
        let hex = self.digest.rsplit(':').next().unwrap_or(&self.digest);
        let short: String = hex.chars().take(12).collect();
        crate::event::escape(short.as_bytes()).to_string()
    }

    /// Named without a fixed version: the same name may be another image tomorrow.
    pub(in crate::tui) fn unpinned(&self) -> bool {
        let image = self.name.as_bytes();
        if image.is_empty() || image.find(b"@sha256:").is_some() {
            return false;
        }
        let leaf = image.rsplit(|b| *b == b'/').next().unwrap_or(image);
        let tag = leaf.splitn(2, |b| *b == b':').nth(1);
        !image.starts_with(b"sha256:") && tag.is_none_or(|t| t == b"latest" || t.is_empty())
    }
}

/// An image and the containers that run from it.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Image<'a> {
    pub(in crate::tui) containers: Vec<&'a Container>,
    /// Another container runs from a newer image of the same name.
    pub(in crate::tui) moved: bool,
    pub(in crate::tui) findings: u64,
    pub(in crate::tui) worst: Option<Severity>,
    pub(in crate::tui) drift: u64,
    /// When its latest container was first seen.
    pub(super) last: Timestamp,
}

impl Image<'_> {
    pub(in crate::tui) fn running(&self) -> usize {
        self.containers.iter().filter(|c| c.running).count()
    }

    /// Remarks about its name.
    pub(in crate::tui) fn flags(&self, key: &ImageKey) -> String {
        let flags = [(key.unpinned(), "unpinned"), (self.moved, "moved")];
        let flags: Vec<&str> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        flags.join(" ")
    }
}

/// The containers whose images are listed: all but the steps of builds.
fn known(core: &Core) -> impl Iterator<Item = &Container> {
    let all = core.state.containers.values().map(|container| &**container);
    all.filter(|container| container.info.role != Role::Build)
}

/// The number of images, for every frame.
pub(super) fn count(core: &Core) -> usize {
    let infos = known(core).map(|container| &container.info);
    let named = infos.filter(|info| !info.image.is_empty() || !info.image_digest.is_empty());
    let keys: BTreeSet<_> = named
        .map(|info| (&info.image, &info.image_digest))
        .collect();
    keys.len()
}

/// The images of all known containers.
pub(in crate::tui) fn images(core: &Core) -> BTreeMap<ImageKey, Image<'_>> {
    let found = found(core, &core.incidents.by_container(&core.detector));
    let drifted = drifted(core);
    let mut images: BTreeMap<ImageKey, Image<'_>> = BTreeMap::new();
    // The newest container of each name shows the image that the name refers to now.
    let mut newest: BTreeMap<&Bytes, (Option<Timestamp>, &str)> = BTreeMap::new();
    for container in known(core) {
        let info = &container.info;
        let Some(key) = ImageKey::of(info) else {
            continue;
        };
        let image = images.entry(key).or_default();
        image.containers.push(container);
        let found = found.get(&container.id).copied().unwrap_or_default();
        image.findings += found.count;
        image.worst = image.worst.max(found.worst);
        image.drift += drifted.get(&container.id).copied().unwrap_or(0);
        image.last = image.last.max(container.first_seen);
        let latest = newest
            .entry(&info.image)
            .or_insert((info.created, &info.image_digest));
        if info.created > latest.0 {
            *latest = (info.created, &info.image_digest);
        }
    }
    for (key, image) in &mut images {
        image.moved = !key.name.is_empty()
            && newest
                .get(&key.name)
                .is_some_and(|(_, digest)| *digest != key.digest);
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ContainerAction, ContainerEvent, ContainerId, Event, Kind};
    use std::sync::Arc;

    #[test]
    fn images_are_counted_as_they_are_listed() {
        let mut core = Core::default();
        let mut add = |id: &str, image: &str, digest: &str, role| {
            let info = ContainerInfo {
                image: image.into(),
                image_digest: digest.to_owned(),
                role,
                ..ContainerInfo::default()
            };
            core.apply(&Arc::new(Event {
                seq: 1,
                ts: Timestamp(1),
                container: Some(ContainerId::new(id)),
                pid: 0,
                nspid: 0,
                kind: Kind::Container(Box::new(ContainerEvent {
                    action: ContainerAction::Existing,
                    info: Some(Box::new(info)),
                })),
            }));
        };
        add("a", "nginx", "sha256:1", Role::Container);
        add("b", "nginx", "sha256:1", Role::Container);
        add("c", "nginx", "sha256:2", Role::Container);
        add("d", "", "sha256:3", Role::Container);
        add("e", "", "", Role::Container);
        add("f", "step", "sha256:4", Role::Build);
        assert_eq!((count(&core), images(&core).len()), (3, 3));
    }

    #[test]
    fn a_name_without_a_version_is_unpinned() {
        let image = |name: &str| ImageKey {
            name: name.into(),
            digest: String::new(),
        };
        for name in ["nginx", "nginx:latest", "host:5000/nginx", "a/b"] {
            assert!(image(name).unpinned(), "{name}");
        }
        for name in [
            "nginx:1.25",
            "nginx@sha256:ab",
            "host:5000/nginx:2",
            "",
            "sha256:ab",
        ] {
            assert!(!image(name).unpinned(), "{name}");
        }
    }
}
