//! Images: what runs from each, and whether its name still means the same.

use std::collections::BTreeMap;

use bstr::ByteSlice as _;
use serde::{Deserialize, Serialize};

use super::{Key, Row, drifted, found};
use crate::core::Core;
use crate::detect::Severity;
use crate::event::{Bytes, ContainerInfo, Timestamp};
use crate::state::Container;
use crate::tui::app::Ui;
use crate::tui::table::{Column, Unit};

pub(super) const COLUMNS: &[Column] = &[
    Column::severity(),
    Column::new("image", "IMAGE", 16, 0).main(),
    Column::new("digest", "DIGEST", 12, 3),
    Column::new("run", "RUN", 3, 1).right().counts(Unit::Count),
    Column::new("find", "FIND", 4, 2)
        .right()
        .counts(Unit::Count),
    Column::new("drift", "DRIFT", 5, 2).counts(Unit::Count),
    Column::new("flags", "FLAGS", 14, 4),
    Column::new("command", "COMMAND", 14, 6).grow(),
    Column::new("ports", "PORTS", 10, 5),
];

/// What tells images apart: the digest, or where none is known the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::tui) struct ImageKey {
    name: Bytes,
    digest: String,
}

impl ImageKey {
    /// The image of a container; `None` where nothing is known of it.
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

    /// Its digest as far as people read it.
    pub(in crate::tui) fn short(&self) -> String {
        let hex = self.digest.rsplit(':').next().unwrap_or(&self.digest);
        let short: String = hex.chars().take(12).collect();
        crate::event::escape(short.as_bytes()).to_string()
    }

    /// Named without a fixed version: what it is today it may not be tomorrow.
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
    last: Timestamp,
}

impl Image<'_> {
    pub(in crate::tui) fn running(&self) -> usize {
        self.containers.iter().filter(|c| c.running).count()
    }

    /// What is to be known about its name.
    pub(in crate::tui) fn flags(&self, key: &ImageKey) -> String {
        let flags = [(key.unpinned(), "unpinned"), (self.moved, "moved")];
        let flags: Vec<&str> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        flags.join(" ")
    }
}

/// The images of all containers that are known.
pub(in crate::tui) fn images(core: &Core) -> BTreeMap<ImageKey, Image<'_>> {
    let found = found(core);
    let drifted = drifted(core);
    let mut images: BTreeMap<ImageKey, Image<'_>> = BTreeMap::new();
    // The newest container of each name says what the name means now.
    let mut newest: BTreeMap<&Bytes, (Option<Timestamp>, &str)> = BTreeMap::new();
    for container in core.state.containers.values() {
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

pub(super) fn rows(core: &Core, _ui: &Ui) -> Vec<Row> {
    let mut rows: Vec<Row> = images(core)
        .iter()
        .map(|(key, image)| {
            let mut row = Row::new(Key::Image(key.clone()), image.last);
            row.faded = image.running() == 0;
            row.letter(image.worst);
            row.text(key.title());
            row.text(key.short());
            row.count(image.running() as u64);
            row.count(image.findings);
            let drift = image.drift;
            row.number(
                drift,
                if drift == 0 {
                    ".".to_owned()
                } else {
                    format!("Δ{drift}")
                },
            );
            row.text(image.flags(key));
            let info = image.containers.first().map(|c| &c.info);
            row.text(info.map_or_else(String::new, |info| words(&info.command)));
            row.text(info.map_or_else(String::new, |info| {
                crate::event::escape(info.exposed.join(" ").as_bytes()).to_string()
            }));
            row
        })
        .collect();
    rows.sort_by(|a, b| {
        let order = |row: &Row| (row.faded, std::cmp::Reverse(row.severity));
        order(a)
            .cmp(&order(b))
            .then_with(|| a.cells[1..3].cmp(&b.cells[1..3]))
    });
    rows
}

fn words(words: &[Bytes]) -> String {
    let words: Vec<String> = words.iter().map(|w| w.escaped().to_string()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
