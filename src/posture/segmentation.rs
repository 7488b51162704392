//! Which containers on this host can reach which others, and which do: container × container ×
//! port.

use serde::Serialize;

use crate::baseline::{Baseline, Facet, ItemField};
use crate::event::{ContainerInfo, escape};

/// A container as input of the comparison with other containers.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour<'a> {
    /// Its facts.
    pub info: &'a ContainerInfo,
    /// Its learned items.
    pub used: Option<&'a Baseline>,
}

/// A port of a container that another one can reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReachablePort {
    /// The containers that can reach it, escaped.
    pub from: String,
    /// The container with the port, escaped.
    pub to: String,
    /// The port with its transport, e.g. `5432/tcp`.
    pub port: String,
    /// A network of both, escaped.
    pub network: String,
    /// A connection was observed.
    pub used: bool,
}

/// The networks that containers share; `none` connects nobody.
fn shared<'a>(a: &'a ContainerInfo, b: &ContainerInfo) -> Option<&'a str> {
    let host = |info: &ContainerInfo| info.security.network_mode == "host";
    if host(a) && host(b) {
        return Some("host");
    }
    let mut names = a.networks.keys().map(String::as_str);
    names.find(|name| *name != "none" && *name != "host" && b.networks.contains_key(*name))
}

fn name(info: &ContainerInfo) -> String {
    info.name.escaped().to_string()
}

/// The ports it was seen to listen on, besides loopback, and those that its image declares.
fn ports(of: &Neighbour<'_>) -> Vec<String> {
    let listens = of.used.into_iter().flat_map(|used| {
        used.facet(Facet::Listen)
            .filter(|(item, _)| item.get(ItemField::On) != b"loopback")
            .map(|(item, _)| {
                let text = |field| escape(item.get(field)).to_string();
                format!("{}/{}", text(ItemField::Port), text(ItemField::Proto))
            })
    });
    let declared = of.info.exposed.iter();
    let declared = declared.map(|port| escape(port.as_bytes()).to_string());
    let mut ports: Vec<String> = listens.chain(declared).collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Whether `from` was seen to connect to this port of `to`.
fn connects(from: &Neighbour<'_>, to: &ContainerInfo, port: &str) -> bool {
    let Some(used) = from.used else {
        return false;
    };
    let port = port.split('/').next().unwrap_or_default();
    let service = to.labels.get("com.docker.compose.service");
    let service: &[u8] = service.map_or(&to.name, |service| service);
    let is_peer = |peer: &[u8]| {
        let named = peer.strip_prefix(b"service:").unwrap_or(peer);
        named == service
            || named == &**to.name as &[u8]
            || to.networks.values().any(|at| at.as_bytes() == peer)
    };
    used.facet(Facet::Connect).any(|(item, _)| {
        item.get(ItemField::Port) == port.as_bytes() && is_peer(item.get(ItemField::To))
    })
}

/// Every port of a container that another container of this host can reach: sorted.
#[must_use]
pub fn segmentation(containers: &[Neighbour<'_>]) -> Vec<ReachablePort> {
    let mut all = Vec::new();
    for to in containers {
        let ports = ports(to);
        if ports.is_empty() {
            continue;
        }
        for from in containers {
            if std::ptr::eq(from.info, to.info) {
                continue;
            }
            let Some(network) = shared(from.info, to.info) else {
                continue;
            };
            all.extend(ports.iter().map(|port| ReachablePort {
                from: name(from.info),
                to: name(to.info),
                port: port.clone(),
                network: escape(network.as_bytes()).to_string(),
                used: connects(from, to.info, port),
            }));
        }
    }
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{BaselineItem, Facts};

    fn container(name: &str, networks: &[(&str, &str)]) -> ContainerInfo {
        let networks = networks.iter();
        ContainerInfo {
            name: name.into(),
            networks: networks
                .map(|(name, at)| ((*name).to_owned(), (*at).to_owned()))
                .collect(),
            ..ContainerInfo::default()
        }
    }

    fn baseline(facet: Facet, fields: &[(ItemField, &str)]) -> Baseline {
        let fields = fields.iter().map(|(field, text)| (*field, text.as_bytes()));
        let mut baseline = Baseline::default();
        let item = BaselineItem::new(facet, fields);
        baseline.items.insert(item, Facts::default());
        baseline
    }

    #[test]
    fn ports_that_can_be_reached_and_never_are_are_distinguished() {
        let web = container("web", &[("app", "172.18.0.2")]);
        let db = container("db", &[("app", "172.18.0.3")]);
        let batch = container("batch", &[("app", "172.18.0.4")]);
        let other = container("other", &[("far", "172.19.0.2")]);
        let alone = container("alone", &[("none", "")]);
        let listens = [
            (ItemField::Port, "5432"),
            (ItemField::Proto, "tcp"),
            (ItemField::On, "any"),
        ];
        let listens = baseline(Facet::Listen, &listens);
        for to in ["service:db", "db", "172.18.0.3"] {
            let connects = [(ItemField::To, to), (ItemField::Port, "5432")];
            let connects = baseline(Facet::Connect, &connects);
            let of = |info, used| Neighbour { info, used };
            let found = segmentation(&[
                of(&web, Some(&connects)),
                of(&db, Some(&listens)),
                of(&batch, None),
                of(&other, None),
                of(&alone, Some(&listens)),
            ]);
            let found: Vec<_> = found
                .iter()
                .map(|p| (p.from.as_str(), p.to.as_str(), p.port.as_str(), p.used))
                .collect();
            assert_eq!(
                found,
                [
                    ("batch", "db", "5432/tcp", false),
                    ("web", "db", "5432/tcp", true)
                ]
            );
        }
    }

    #[test]
    fn a_port_on_loopback_is_unreachable() {
        let web = container("web", &[("app", "1")]);
        let mut db = container("db", &[("app", "2")]);
        let listens = [
            (ItemField::Port, "5432"),
            (ItemField::Proto, "tcp"),
            (ItemField::On, "loopback"),
        ];
        let used = baseline(Facet::Listen, &listens);
        let both = |db: &ContainerInfo| {
            let of = |info| Neighbour {
                info,
                used: Some(&used),
            };
            segmentation(&[of(&web), of(db)]).len()
        };
        assert_eq!(both(&db), 0);
        db.exposed = vec!["5432/tcp".to_owned()];
        assert_eq!(both(&db), 1);
    }
}
