//! Commands within a container's network namespace: they work for every engine.

use std::net::IpAddr;

use super::command::CommandLine;
use super::engine::Commands;

/// Duration of a packet capture.
pub(super) const CAPTURE_SECONDS: u32 = 60;

fn within(init: u32) -> CommandLine {
    CommandLine::new(["nsenter", "--target", &init.to_string(), "--net"])
}

/// A check, as a shell's line, that the namespace of `init` is not the host's.
pub(super) fn guard(init: u32) -> String {
    format!("[ \"$(readlink /proc/{init}/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ] && ")
}

/// Rejects what goes to `address`.
pub(super) fn block(init: u32, address: IpAddr) -> Commands {
    let rule = |verb: &str| {
        let address = address.to_string();
        within(init)
            .args([tables(address.contains(':')), "--wait", verb, "OUTPUT"])
            .args(["--destination", &address, "--jump", "REJECT"])
    };
    Commands {
        run: vec![rule("--insert")],
        undo: vec![rule("--delete")],
    }
}

/// Drops everything but what stays on its loopback interface.
pub(super) fn isolate(init: u32) -> Commands {
    let rules = |verb: &'static str| {
        let all = [("INPUT", "--in-interface"), ("OUTPUT", "--out-interface")];
        [false, true].into_iter().flat_map(move |six| {
            all.into_iter().map(move |(chain, interface)| {
                within(init)
                    .args([tables(six), "--wait", verb, chain, "!", interface, "lo"])
                    .args(["--jump", "DROP"])
            })
        })
    };
    Commands {
        run: rules("--insert").collect(),
        undo: rules("--delete").collect(),
    }
}

fn tables(six: bool) -> &'static str {
    if six { "ip6tables" } else { "iptables" }
}

/// Records its packets to `to`; `-` is the output.
pub(super) fn capture(init: u32, to: &str) -> CommandLine {
    let seconds = CAPTURE_SECONDS.to_string();
    let nsenter = within(init);
    CommandLine::new(["timeout", "--signal=INT", &seconds])
        .args(nsenter.argv)
        .args(["tcpdump", "-i", "any", "-U", "-Z", "root", "-w", to])
}
