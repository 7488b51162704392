//! Selects containers as a person names them: by name, id, pod or image.

use std::fmt;

use bstr::ByteSlice as _;

use crate::event::{ContainerId, ContainerInfo};

/// Containers named in an error.
const MAX_NAMED: usize = 8;

/// How a text names a container; the most specific form first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// By its name, its pod, or its image if images are selected.
    Exact,
    /// By its id.
    Id,
    /// By the beginning of its id.
    IdPrefix,
}

/// A selector: a name, an id or its unambiguous beginning, `POD`, `NAMESPACE/POD`,
/// `NAMESPACE/POD/CONTAINER`, or `image:NAME` for all containers of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSelector(String);

/// Why a selector selects nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectError {
    /// No container has this name.
    Unknown {
        /// The selector.
        requested: String,
        /// Known containers, by name.
        known: Vec<String>,
        /// Containers whose image has this name.
        of_image: usize,
    },
    /// The ids of several containers begin with it.
    Ambiguous {
        /// The selector.
        requested: String,
        /// Their names and ids.
        among: Vec<String>,
    },
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            let more = names.len().saturating_sub(MAX_NAMED);
            let mut text = names[..names.len().min(MAX_NAMED)].join(", ");
            if more > 0 {
                text += &format!(" and {more} more");
            }
            text
        };
        match self {
            Self::Unknown {
                requested,
                known,
                of_image,
            } => {
                write!(f, "there is no container {requested:?}")?;
                if *of_image > 0 {
                    write!(f, "; {of_image} use that image: image:{requested}")
                } else if !known.is_empty() {
                    write!(f, "; known containers: {}", list(known))
                } else {
                    Ok(())
                }
            }
            Self::Ambiguous { requested, among } => {
                write!(f, "several ids begin with {requested:?}: {}", list(among))
            }
        }
    }
}

impl ContainerSelector {
    /// Parses a selector; a leading slash, as in Docker's own names, is ignored.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.strip_prefix('/').unwrap_or(text).to_owned())
    }

    fn way(&self, id: &ContainerId, info: &ContainerInfo) -> Option<Way> {
        let requested = self.0.as_str();
        if let Some(image) = requested.strip_prefix("image:") {
            return is_image(info, image).then_some(Way::Exact);
        }
        if requested.is_empty() {
            return None;
        }
        if info.name == requested || is_pod(info, requested) {
            Some(Way::Exact)
        } else if id.as_str() == requested {
            Some(Way::Id)
        } else {
            id.as_str().starts_with(requested).then_some(Way::IdPrefix)
        }
    }

    /// Whether the selector matches this container, among these.
    #[must_use]
    pub fn selects<'a>(
        &self,
        id: &ContainerId,
        info: &ContainerInfo,
        containers: impl Iterator<Item = (&'a ContainerId, &'a ContainerInfo)>,
    ) -> bool {
        match self.way(id, info) {
            None => false,
            Some(Way::Exact) => true,
            Some(way) => {
                let mut others = containers.filter(|(other, _)| *other != id);
                // Another container matches more specifically, or the beginning is not this one's
                // only.
                !others.any(|(id, info)| self.way(id, info).is_some_and(|other| other <= way))
            }
        }
    }

    /// The containers that the selector matches in its most specific form.
    ///
    /// # Errors
    /// When it names none, or is the beginning of several ids.
    pub fn resolve<'a>(
        &self,
        containers: impl Iterator<Item = (&'a ContainerId, &'a ContainerInfo)> + Clone,
    ) -> Result<Vec<ContainerId>, SelectError> {
        let ways = containers
            .clone()
            .filter_map(|(id, info)| Some((self.way(id, info)?, id, info)));
        let best = ways.clone().map(|(way, ..)| way).min();
        let chosen: Vec<_> = ways.filter(|(way, ..)| Some(*way) == best).collect();
        match (best, chosen.len()) {
            (None, _) => Err(SelectError::Unknown {
                requested: self.0.clone(),
                known: containers
                    .clone()
                    .map(|(id, info)| label(id, info))
                    .collect(),
                of_image: containers
                    .filter(|(_, info)| is_image(info, &self.0))
                    .count(),
            }),
            (Some(Way::IdPrefix), 2..) => Err(SelectError::Ambiguous {
                requested: self.0.clone(),
                among: chosen
                    .iter()
                    .map(|(_, id, info)| format!("{} ({})", id.short(), label(id, info)))
                    .collect(),
            }),
            _ => Ok(chosen.into_iter().map(|(_, id, _)| id.clone()).collect()),
        }
    }
}

fn label(id: &ContainerId, info: &ContainerInfo) -> String {
    if info.name.is_empty() {
        id.short().to_owned()
    } else {
        info.name.escaped().to_string()
    }
}

/// The image's name as written; without tag or digest it matches any.
fn is_image(info: &ContainerInfo, requested: &str) -> bool {
    !requested.is_empty()
        && (info.image == requested
            || info
                .image
                .strip_prefix(requested.as_bytes())
                .is_some_and(|rest| {
                    matches!(rest.first(), Some(b':' | b'@')) && !rest.contains_str(b"/")
                }))
}

fn is_pod(info: &ContainerInfo, requested: &str) -> bool {
    let Some(pod) = &info.pod else { return false };
    let mut parts = requested.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(name), None, ..) => name == pod.name,
        (Some(namespace), Some(name), None, _) => namespace == pod.namespace && name == pod.name,
        (Some(namespace), Some(name), Some(container), None) => {
            namespace == pod.namespace && name == pod.name && info.name == container
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pod;

    fn containers() -> Vec<(ContainerId, ContainerInfo)> {
        let container = |id: &str, name: &str, image: &str, pod: Option<(&str, &str)>| {
            let info = ContainerInfo {
                name: name.into(),
                image: image.into(),
                pod: pod.map(|(namespace, name)| Pod {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    ..Pod::default()
                }),
                ..ContainerInfo::default()
            };
            (ContainerId::new(id), info)
        };
        vec![
            container("db01", "web", "nginx:1.25", None),
            container("db02", "cache", "db:7", None),
            container("ff01", "db", "postgres", None),
            container("team/web", "web", "", None),
            container("aa01", "nginx", "", Some(("shop", "front"))),
            container("aa02", "log", "", Some(("shop", "front"))),
        ]
    }

    fn select(requested: &str) -> Result<Vec<String>, String> {
        let all = containers();
        let all = all.iter().map(|(id, info)| (id, info));
        let found = ContainerSelector::new(requested).resolve(all.clone());
        if let Ok(found) = &found {
            let selected = all.clone().filter(|(id, info)| {
                ContainerSelector::new(requested).selects(id, info, all.clone())
            });
            let selected: Vec<_> = selected.map(|(id, _)| id.clone()).collect();
            assert_eq!(&selected, found, "{requested}");
        }
        found
            .map(|ids| ids.iter().map(|id| id.as_str().to_owned()).collect())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_name_wins_over_an_id_and_an_id_over_its_beginning() {
        for (requested, expected) in [
            ("db", &["ff01"][..]),
            ("/db", &["ff01"]),
            ("db01", &["db01"]),
            ("ff", &["ff01"]),
            ("web", &["db01", "team/web"]),
            ("team/web", &["team/web"]),
            ("front", &["aa01", "aa02"]),
            ("shop/front", &["aa01", "aa02"]),
            ("shop/front/log", &["aa02"]),
            ("image:nginx", &["db01"]),
            ("image:nginx:1.25", &["db01"]),
        ] {
            assert_eq!(
                select(requested).as_deref(),
                Ok(expected.map_owned().as_slice()),
                "{requested}"
            );
        }
        let ambiguous = select("db0");
        assert!(ambiguous.is_err_and(|e| e.contains("db01 (web), db02 (cache)")));
        assert!(select("postgres").is_err_and(|e| e.ends_with("image:postgres")));
        assert!(select("nosuch").is_err_and(|e| e.contains("known containers: web, cache")));
        assert!(select("image:nosuch").is_err() && select("").is_err());
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }
}
