//! Domains that a container has not looked up before.

use crate::detect::alert::Alerts;
use bstr::ByteSlice as _;

use super::deviations;
use super::net::domain;
use crate::detect::known_behavior::{Behavior, KnownBehavior};
use crate::detect::rule_context::RuleContext;
use crate::detect::{Handler, Requirement, Rule, RuleInfo, Severity};
use crate::event::Dns;

/// The rule.
pub(super) const RULE: Rule = Rule {
    info: RuleInfo {
        id: "net.new-name",
        title: "Looked up names in a new domain",
        label: "new name",
        severity: Severity::Info,
        attack: &["T1071.004", "T1568"],
        needs: &[Requirement::Dns],
        explain: "After start-up the container looked up a name in a domain that it had not looked up before. One finding for the container lists them. Names without a dot, \
                  reverse look-ups, local names and names that the policy allows are not flagged.",
        check: "Does the service need that domain, and what did the process do next?",
    },
    handlers: &[Handler::Dns(|ctx, memory, dns| {
        requested(ctx, memory.of(), dns)
    })],
};

fn requested(ctx: &RuleContext<'_>, memory: &mut KnownBehavior, dns: &Dns) -> Alerts {
    let name = dns.name.as_bytes();
    let local = [&b".arpa"[..], b".local", b".internal", b".localdomain"];
    if !name.contains(&b'.') || local.iter().any(|end| name.ends_with(end)) {
        return Alerts::none();
    }
    if !memory.learn(Behavior::LookedUp(domain(name))) || ctx.learning() {
        return Alerts::none();
    }
    let info = ctx.container.map(|c| &c.info);
    if ctx
        .settings
        .policy
        .may_resolve(ctx.owner.as_str(), info, name)
    {
        return Alerts::none();
    }
    if deviations::knows_name(ctx, name) {
        return Alerts::none();
    }
    let shown = dns.name.escaped().to_string();
    let alert = ctx.alert(Severity::Info, b"names", |explanation| {
        explanation.title = format!("Looked up a name in a new domain: {shown}");
    });
    let answer = match (dns.rcode, dns.addresses.first()) {
        (3, _) => ": no such name".to_owned(),
        (_, Some(address)) => format!(": {address}"),
        _ => String::new(),
    };
    let line = format!(
        "looked up {shown} ({}){answer}",
        crate::event::escape(dns.qtype.as_bytes())
    );
    alert.part(name).reason(line).into()
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;
    use crate::detect::{Policy, Settings};

    #[test]
    fn a_domain_counts_once_and_after_start_up() {
        let mut w = World::starting();
        w.dns("db.example.org", "A", &["192.0.2.1"]);
        w.ticks(60);
        w.dns("api.example.org", "A", &["192.0.2.2"]);
        w.dns("db", "A", &[]);
        w.dns("1.2.0.192.in-addr.arpa", "PTR", &[]);
        w.only(&[]);
        w.dns("x.example.net", "A", &["192.0.2.3"]);
        w.dns("y.example.net", "TXT", &[]);
        let finding = w.finding("net.new-name");
        assert_eq!((finding.count, finding.why.len()), (1, 1));
    }

    #[test]
    fn a_name_the_policy_allows_is_none() {
        let policy = Policy::parse("[[allow]]\nconnect = [\"*.example.net\"]").unwrap();
        let mut w = World::with(Settings {
            policy: policy.policy,
            ..Settings::default()
        });
        w.dns("x.example.net", "A", &["192.0.2.3"]);
        w.only(&[]);
        w.dns("example.com", "A", &["192.0.2.3"]);
        w.only(&["net.new-name"]);
    }
}
