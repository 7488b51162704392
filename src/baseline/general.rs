//! Generalizes actions: typed tokens for changing parts, one pattern for many siblings.
//!
//! The rules apply to the whole set in a fixed order, so the result depends on the set only;
//! generalizing a set again, or a set of which a part was generalized, changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::destinations;
use super::item::{BaselineItem, Facet, ItemField};
use super::join::{Join, add};
use super::path_tree::PathTree;
use super::pattern::{fixed_path, fixed_text};
use crate::event::Bytes;

/// Different arguments of one program; more become `*`.
const ARGUMENTS: usize = 8;
/// Ports that the kernel assigns to a socket bound to port 0, by its default range.
const CHOSEN: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// An item with tokens for the parts that change from run to run, regardless of other items.
#[must_use]
pub(super) fn fixed(item: &BaselineItem) -> BaselineItem {
    match item.facet {
        Facet::Write | Facet::Secret => {
            item.with(ItemField::Path, &fixed_path(item.get(ItemField::Path)))
        }
        Facet::Exec if item.fields.contains_key(&ItemField::Args) => {
            item.with(ItemField::Args, &fixed_text(item.get(ItemField::Args)))
        }
        Facet::Connect if item.get(ItemField::Proto) == b"unix" => {
            item.with(ItemField::To, &fixed_text(item.get(ItemField::To)))
        }
        Facet::Resolve => match reverse(item.get(ItemField::Name)) {
            Some(domain) => item.with(ItemField::Name, domain),
            None => item.clone(),
        },
        Facet::Listen => {
            let port = std::str::from_utf8(item.get(ItemField::Port)).ok();
            let port = port.and_then(|text| text.parse::<u16>().ok());
            match port {
                Some(port) if CHOSEN.contains(&port) => item.with(ItemField::Port, b"chosen"),
                _ => item.clone(),
            }
        }
        _ => item.clone(),
    }
}

/// The domain of names that encode addresses.
fn reverse(name: &[u8]) -> Option<&'static [u8]> {
    let domains: [(&[u8], &'static [u8]); 2] = [
        (b".in-addr.arpa", b"*.in-addr.arpa"),
        (b".ip6.arpa", b"*.ip6.arpa"),
    ];
    let mut of = domains.iter().filter(|(end, _)| name.ends_with(end));
    of.next().map(|(_, general)| *general)
}

/// Generalizes items. `mounts` are the directories outside the container's root.
#[must_use]
pub fn generalise<A: Join>(
    items: &BTreeMap<BaselineItem, A>,
    mounts: &BTreeSet<Bytes>,
) -> BTreeMap<BaselineItem, A> {
    let mut out = BTreeMap::new();
    // Items that differ in one field only, by the item without it.
    let mut paths: BTreeMap<BaselineItem, PathTree<A>> = BTreeMap::new();
    let mut peers: BTreeMap<BaselineItem, BTreeMap<Vec<u8>, A>> = BTreeMap::new();
    let mut arguments: BTreeMap<BaselineItem, BTreeMap<Vec<u8>, A>> = BTreeMap::new();
    for (item, facts) in items {
        let item = fixed(item);
        match item.facet {
            Facet::Write | Facet::Secret => {
                let (rest, path) = without(item, ItemField::Path);
                paths.entry(rest).or_default().insert(&path, facts);
            }
            Facet::Connect if item.get(ItemField::Proto) != b"unix" => {
                let (rest, to) = without(item, ItemField::To);
                add(peers.entry(rest).or_default(), to.to_vec(), facts);
            }
            Facet::Resolve => {
                let (rest, name) = without(item, ItemField::Name);
                add(peers.entry(rest).or_default(), name.to_vec(), facts);
            }
            Facet::Exec if item.fields.contains_key(&ItemField::Args) => {
                let (rest, args) = without(item, ItemField::Args);
                add(arguments.entry(rest).or_default(), args.to_vec(), facts);
            }
            _ => add(&mut out, item, facts),
        }
    }
    for (rest, mut tree) in paths {
        tree.generalise(mounts);
        for (path, facts) in tree.into_paths() {
            add(&mut out, rest.with(ItemField::Path, &path), &facts);
        }
    }
    for (rest, peers) in peers {
        let field = match rest.facet {
            Facet::Resolve => ItemField::Name,
            _ => ItemField::To,
        };
        for (to, facts) in destinations::generalise(peers) {
            add(&mut out, rest.with(field, &to), &facts);
        }
    }
    for (rest, arguments) in arguments {
        let any = arguments.len() > ARGUMENTS || arguments.contains_key(&b"*"[..]);
        for (args, facts) in arguments {
            let args = if any { &b"*"[..] } else { &args };
            add(&mut out, rest.with(ItemField::Args, args), &facts);
        }
    }
    out
}

fn without(mut item: BaselineItem, field: ItemField) -> (BaselineItem, Bytes) {
    let value = item.fields.remove(&field).unwrap_or_default();
    (item, value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::baseline::{Facts, literal};
    use proptest::prelude::*;

    fn write(path: &str) -> BaselineItem {
        BaselineItem::new(
            Facet::Write,
            [
                (ItemField::Path, &literal(path.as_bytes())[..]),
                (ItemField::By, b"/app"),
            ],
        )
    }

    fn connect(to: &str) -> BaselineItem {
        BaselineItem::new(
            Facet::Connect,
            [
                (ItemField::To, to.as_bytes()),
                (ItemField::Port, b"443"),
                (ItemField::Proto, b"tcp"),
            ],
        )
    }

    fn exec(args: &str) -> BaselineItem {
        BaselineItem::new(
            Facet::Exec,
            [
                (ItemField::Exe, &b"/bin/sh"[..]),
                (ItemField::Args, args.as_bytes()),
            ],
        )
    }

    pub(in crate::baseline) fn set(
        items: impl IntoIterator<Item = BaselineItem>,
    ) -> BTreeMap<BaselineItem, Facts> {
        items
            .into_iter()
            .map(|item| (item, Facts::default()))
            .collect()
    }

    fn paths(items: &[&str], mounts: &[&str]) -> Vec<String> {
        let mounts = mounts.iter().map(|m| Bytes::from(*m)).collect();
        let items = set(items.iter().map(|path| write(path)));
        let general = generalise(&items, &mounts);
        general.keys().map(BaselineItem::subject).collect()
    }

    #[test]
    fn many_siblings_become_one_where_data_is() {
        let many: Vec<String> = (0..9).map(|n| format!("/var/lib/app/f{n}x")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(paths(&many, &[]), ["/var/lib/app/*"]);
        assert_eq!(paths(&many[..8], &[]).len(), 8);
        let etc: Vec<String> = (0..99).map(|n| format!("/etc/f{n}x")).collect();
        let etc: Vec<&str> = etc.iter().map(String::as_str).collect();
        assert_eq!(paths(&etc, &["/etc"]).len(), 99);
        let app: Vec<String> = (0..9).map(|n| format!("/opt/app/f{n}x")).collect();
        let app: Vec<&str> = app.iter().map(String::as_str).collect();
        assert_eq!(paths(&app, &[]).len(), 9);
        assert_eq!(paths(&app, &["/opt/app"]), ["/opt/app/*"]);
    }

    #[test]
    fn drawn_names_become_their_template() {
        let drawn = [
            "/tmp/ccNQlGZ8.s",
            "/tmp/ccaB12Cd.s",
            "/tmp/ccZZ99aa.s",
            "/tmp/x",
        ];
        assert_eq!(paths(&drawn, &[]), ["/tmp/cc<tmp>.s", "/tmp/x"]);
        assert_eq!(paths(&drawn[..2], &[]).len(), 2);
    }

    #[test]
    fn adjacent_wildcards_become_a_deep_one() {
        let all: Vec<String> = (0..9)
            .flat_map(|a| (0..9).map(move |b| format!("/var/cache/x/a{a}x/b{b}x/c")))
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(paths(&all, &[]), ["/var/cache/x/**"]);
    }

    #[test]
    fn peers_of_a_domain_or_without_a_name_become_one() {
        let of = |items: Vec<String>| {
            let items = set(items.iter().map(|to| connect(to)));
            let general = generalise(&items, &BTreeSet::new());
            general
                .keys()
                .map(BaselineItem::subject)
                .collect::<Vec<_>>()
        };
        let names = ["a.s.com", "b.s.com", "c.s.com", "s.com"];
        assert_eq!(
            of(names.iter().map(|s| (*s).to_owned()).collect()),
            ["*.s.com:443", "s.com:443"]
        );
        let public = (1..10).map(|n| format!("192.0.2.{n}")).collect();
        assert_eq!(of(public), ["public:443"]);
        let private = (1..9).map(|n| format!("10.0.2.{n}")).collect();
        assert_eq!(of(private).len(), 8);
    }

    /// Items that collide often.
    fn item() -> impl Strategy<Value = BaselineItem> {
        let top = prop::sample::select(vec![
            "/tmp", "/var/lib", "/opt", "/data/a", "/data/b", "/etc", "/run",
        ]);
        let name = prop_oneof![
            "[a-c][0-9]{1,2}",
            "cc[a-bA-B1-2]{6}\\.s",
            "[a-b]{6}",
            "[0-9]{4}_vm",
            "x\\*<y"
        ];
        let path = (top, prop::collection::vec(name, 1..4))
            .prop_map(|(top, names)| write(&format!("{top}/{}", names.join("/"))));
        let peer = prop_oneof![
            "[a-d]\\.[a-b]\\.org",
            "10\\.0\\.0\\.[0-9]{1,2}",
            "9\\.9\\.9\\.[0-9]{1,2}"
        ];
        prop_oneof![
            8 => path,
            2 => peer.prop_map(|to| connect(&to)),
            1 => "echo [0-9a-f]{1,8}".prop_map(|args| exec(&args)),
        ]
    }

    pub(in crate::baseline) fn items() -> impl Strategy<Value = BTreeMap<BaselineItem, Facts>> {
        let facts = (0_u32..5, 0_u32..5).prop_map(|(start, steady)| {
            let mut facts = Facts::default();
            facts.start.add("s", start + 1);
            facts.steady.add("s", steady + 1);
            facts
        });
        prop::collection::vec((item(), facts), 0..60).prop_map(|list| {
            let mut all = BTreeMap::new();
            for (item, facts) in list {
                add(&mut all, item, &facts);
            }
            all
        })
    }

    proptest! {
        #[test]
        fn general_items_stay_and_the_order_of_parts_does_not_count(a in items(), b in items()) {
            let mounts = [Bytes::from("/data/b"), Bytes::from("/opt/a1")].into_iter().collect();
            let once = generalise(&a, &mounts);
            prop_assert_eq!(&generalise(&once, &mounts), &once);
            let join = |x: &BTreeMap<BaselineItem, Facts>, y: &BTreeMap<BaselineItem, Facts>| {
                let mut all = x.clone();
                for (item, facts) in y {
                    add(&mut all, item.clone(), facts);
                }
                generalise(&all, &mounts)
            };
            let raw = join(&a, &b);
            prop_assert_eq!(&join(&once, &b), &raw);
            prop_assert_eq!(&join(&generalise(&b, &mounts), &a), &raw);
        }
    }
}
