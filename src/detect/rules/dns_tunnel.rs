//! Data carried in DNS queries.

use std::collections::BTreeMap;
use std::time::Duration;

use bstr::ByteSlice as _;

use super::net::domain;
use crate::detect::alert::Alerts;
use crate::detect::rule_context::RuleContext;
use crate::detect::rule_memory::RuleMemory;
use crate::detect::seen_set::SeenSet;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::{Dns, Timestamp};

/// Distinct long names below one domain within a minute that look like a tunnel.
const TUNNEL_NAMES: u32 = 20;
/// Length of that window.
const TUNNEL_WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of domains watched at once.
const MAX_DOMAINS: usize = 64;

/// DNS tunnel.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.dns-tunnel",
        title: "DNS names look like a tunnel",
        label: "DNS tunnel",
        severity: Severity::Medium,
        attack: &["T1071.004", "T1048"],
        needs: &[Requirement::Dns],
        explain: "The container looked up many different long names in one domain within a \
                  minute: names and answers can carry data.",
        check: "What do the names encode? Which process looked them up?",
    },
    handlers: &[Handler::Dns(|ctx, memory, dns| {
        tunnel(ctx, memory.of(), dns)
    })],
};

/// Long names looked up below each domain, to recognise data carried in names.
#[derive(Debug, Clone, Default)]
struct LongNames {
    seen: SeenSet,
    /// Start of the window and distinct names in it, by domain.
    windows: BTreeMap<Vec<u8>, (Timestamp, u32)>,
}

impl RuleMemory for LongNames {
    fn heap_bytes(&self) -> usize {
        self.seen.len() * 32 + self.windows.len() * 192
    }
}

impl LongNames {
    /// Adds a name; returns the number of distinct names in the window if this one is new.
    fn add(&mut self, now: Timestamp, base: &[u8], name: &[u8]) -> Option<u32> {
        let new = self.seen.insert(name);
        if self.windows.len() > MAX_DOMAINS {
            self.windows.pop_first();
        }
        let window = self.windows.entry(base.to_vec()).or_insert((now, 0));
        if now.since(window.0) >= TUNNEL_WINDOW {
            *window = (now, 0);
        }
        window.1 += u32::from(new);
        new.then_some(window.1)
    }
}

fn tunnel(ctx: &RuleContext<'_>, memory: &mut LongNames, dns: &Dns) -> Alerts {
    let name = dns.name.as_bytes();
    let base = domain(name);
    let below = name.len().saturating_sub(base.len());
    // Service discovery inside a cluster has long names, too, but few of them.
    if below < 32 || name.ends_with(b".local") || name.ends_with(b".arpa") {
        return Alerts::none();
    }
    let count = memory.add(ctx.now(), base, name);
    let Some(count) = count.filter(|count| *count >= TUNNEL_NAMES) else {
        return Alerts::none();
    };
    let alert = ctx.alert(Severity::Medium, base, |explanation| {
        let base = crate::event::escape(base);
        explanation.title = format!("DNS names in {base} look like a tunnel");
        let line = format!("{count} different long names within a minute");
        explanation.why.push(line);
        explanation.why.push(format!(
            "example: {} ({})",
            dns.name.escaped(),
            crate::event::escape(dns.qtype.as_bytes())
        ));
    });
    alert.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::detect::testkit::World;

    #[test]
    fn tunnels_have_many_long_names() {
        let mut w = World::steady();
        for n in 0..40 {
            w.dns(&format!("{n:0>40x}.t.evil.example"), "TXT", &[]);
        }
        assert_eq!(w.all("net.dns-tunnel").len(), 1);
        let mut w = World::steady();
        for n in 0..200 {
            w.dns(
                "a-very-long-name-of-a-load-balancer-0123456789.eu.cloud.example",
                "A",
                &[],
            );
            w.dns(&format!("{n}.pool.ntp.example"), "A", &[]);
        }
        // New domains, and no tunnel.
        w.only(&["net.new-name"]);
    }
}
