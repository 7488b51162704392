//! Whether a copy works: a command inside it, or the ports it listens on.

use std::collections::BTreeSet;

use bollard::models::ContainerInspectResponse;
use procfs::net::TcpState;
use procfs::process::Process;

use super::engine::CopyEngine;
use super::error::VerifyError;
use crate::baseline::{Baseline, Facet, ItemField};
use crate::event::{ContainerId, escape};

/// How the copy is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CopyProbe {
    /// A command inside must succeed.
    Command(Vec<String>),
    /// Something must listen on these ports: (TCP?, port).
    Ports(BTreeSet<(bool, u16)>),
    /// It must keep running.
    Runs,
}

/// The answer of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeAnswer {
    /// It works; whether the probe printed anything.
    Works(bool),
    /// It does not, for this reason (escaped).
    Fails(String),
}

impl CopyProbe {
    /// The given command, else the container's health check, else its ports.
    pub(super) fn of(
        given: Option<&[String]>,
        container: &ContainerInspectResponse,
        baseline: &Baseline,
    ) -> Self {
        if let Some(command) = given {
            return Self::Command(command.to_vec());
        }
        let config = container.config.as_ref();
        let check = config.and_then(|c| c.healthcheck.as_ref()?.test.clone());
        match check.as_deref() {
            Some([kind, words @ ..]) if kind == "CMD" && !words.is_empty() => {
                return Self::Command(words.to_vec());
            }
            Some([kind, line, ..]) if kind == "CMD-SHELL" => {
                let shell = ["/bin/sh", "-c", line];
                return Self::Command(shell.map(str::to_owned).to_vec());
            }
            _ => {}
        }
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u16>().ok();
        let ports: BTreeSet<(bool, u16)> = baseline
            .facet(Facet::Listen)
            .filter_map(|(item, _)| {
                let tcp = match item.get(ItemField::Proto) {
                    b"tcp" => true,
                    b"udp" => false,
                    _ => return None,
                };
                Some((tcp, number(item.get(ItemField::Port))?))
            })
            .collect();
        if ports.is_empty() {
            Self::Runs
        } else {
            Self::Ports(ports)
        }
    }

    /// The test as text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Command(words) => {
                let line = words.join(" ");
                format!("{} succeeds in it", escape(line.as_bytes()))
            }
            Self::Ports(ports) => {
                let list: Vec<_> = ports.iter().copied().map(name).collect();
                format!("it listens on {}", list.join(", "))
            }
            Self::Runs => "it keeps running; --probe CMD tests more".to_owned(),
        }
    }

    /// Tests a copy whose init is `pid`.
    pub(super) fn ask(
        &self,
        engine: &CopyEngine,
        id: &ContainerId,
        pid: u32,
    ) -> Result<ProbeAnswer, VerifyError> {
        Ok(match self {
            Self::Command(words) => {
                let done = engine.run(id, words)?;
                if done.code == 0 {
                    ProbeAnswer::Works(!done.output.is_empty())
                } else {
                    let line = done.output.split(|b| *b == b'\n').next();
                    let output = escape(line.unwrap_or_default());
                    ProbeAnswer::Fails(format!("the probe ended with {}: {output}", done.code))
                }
            }
            Self::Ports(ports) => match ports.difference(&listening(pid)).next() {
                None => ProbeAnswer::Works(false),
                Some(port) => ProbeAnswer::Fails(format!("nothing listens on {}", name(*port))),
            },
            Self::Runs => ProbeAnswer::Works(false),
        })
    }
}

fn name((tcp, port): (bool, u16)) -> String {
    format!("{port}/{}", if tcp { "tcp" } else { "udp" })
}

/// The ports open in a process's network namespace.
fn listening(pid: u32) -> BTreeSet<(bool, u16)> {
    let mut open = BTreeSet::new();
    let Some(process) = i32::try_from(pid)
        .ok()
        .and_then(|pid| Process::new(pid).ok())
    else {
        return open;
    };
    let tcp = [process.tcp(), process.tcp6()]
        .into_iter()
        .flatten()
        .flatten();
    open.extend(
        tcp.filter(|socket| socket.state == TcpState::Listen)
            .map(|socket| (true, socket.local_address.port())),
    );
    let udp = [process.udp(), process.udp6()]
        .into_iter()
        .flatten()
        .flatten();
    open.extend(udp.map(|socket| (false, socket.local_address.port())));
    open
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::baseline::{BaselineItem, Facts};
    use serde_json::json;

    #[test]
    fn a_probe_is_what_was_given_else_the_health_check_else_the_ports() {
        let mut baseline = Baseline::default();
        let container = |test: &[&str]| -> ContainerInspectResponse {
            serde_json::from_value(json!({"Config": {"Healthcheck": {"Test": test}}})).unwrap()
        };
        let of = |test: &[&str], baseline: &Baseline| {
            CopyProbe::of(None, &container(test), baseline).text()
        };
        assert!(of(&[], &baseline).starts_with("it keeps running"));
        for (port, proto) in [("80", "tcp"), ("chosen", "tcp"), ("53", "udp")] {
            let item = BaselineItem::new(
                Facet::Listen,
                [
                    (ItemField::Port, port.as_bytes()),
                    (ItemField::Proto, proto.as_bytes()),
                ],
            );
            baseline.items.insert(item, Facts::default());
        }
        assert_eq!(of(&["NONE"], &baseline), "it listens on 53/udp, 80/tcp");
        assert_eq!(
            of(&["CMD-SHELL", "curl x"], &baseline),
            "/bin/sh -c curl x succeeds in it"
        );
        assert_eq!(of(&["CMD", "ping"], &baseline), "ping succeeds in it");
        let given = ["true".to_owned()];
        let probe = CopyProbe::of(Some(&given), &container(&["CMD", "ping"]), &baseline);
        assert_eq!(probe, CopyProbe::Command(given.to_vec()));
    }

    #[test]
    fn ports_of_a_network_namespace_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let open = listening(std::process::id());
        assert!(open.contains(&(true, listener.local_addr().unwrap().port())));
        assert!(open.contains(&(false, socket.local_addr().unwrap().port())));
    }
}
