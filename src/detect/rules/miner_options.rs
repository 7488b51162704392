//! Command lines of coin miners that have short options only.

use bstr::ByteSlice as _;

use crate::catalog;
use crate::event::Bytes;

/// The name of an algorithm or a wallet's address among options that also name a server: short options
/// of miners alone are those of many programs.
pub(super) fn miners_options(argv: &[Bytes]) -> Option<&[u8]> {
    let options: &[&[u8]] = &[b"-o", b"-P", b"-s", b"--url", b"--server", b"--pool"];
    let option = |word: &[u8]| word.split(|b| *b == b'=').next().unwrap_or(word).to_vec();
    let mut words = argv.iter().skip(1);
    let names_server = words.any(|word| options.contains(&option(word).as_slice()));
    let algorithm = |value: &[u8]| {
        let names = catalog::words::MINING_ALGORITHMS;
        names.iter().any(|name| value.starts_with(name))
    };
    let mut pairs = argv.windows(2);
    let separate = pairs.find_map(|pair| match pair {
        [option, value] if *option == "-a" || *option == "--algo" => Some(value.as_bytes()),
        _ => None,
    });
    let joined = || argv.iter().find_map(|word| word.strip_prefix(b"--algo="));
    let by_algorithm = separate.or_else(joined).filter(|value| algorithm(value));
    let mut words = argv.iter().skip(1).map(|word| word.as_bytes());
    by_algorithm
        .or_else(|| {
            words.find(|word| {
                word.split(|b| matches!(b, b'=' | b'.' | b'+' | b':'))
                    .any(is_wallet)
            })
        })
        .filter(|_| names_server)
}

/// The address of a wallet of Monero, which almost all hidden miners earn for.
fn is_wallet(word: &[u8]) -> bool {
    let base58 = |b: &u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
    matches!(word.len(), 95 | 106)
        && matches!(word.first(), Some(b'4' | b'8'))
        && word.iter().all(base58)
}

#[cfg(test)]
mod tests {
    use crate::detect::testkit::World;

    #[test]
    fn short_options_of_miners_and_of_others() {
        let judged = |argv: &[&str]| {
            let mut w = World::steady();
            let init = w.init();
            w.exec(init, "/usr/local/bin/systemd-journal", argv);
            !w.all("exec.miner").is_empty()
        };
        let wallet = format!("4{}", "8edfHu7V9Z84YzzM".repeat(6).get(..94).unwrap());
        let worker = format!("{wallet}.worker");
        for argv in [
            &["x", "-a", "rx/0", "-o", "203.0.113.9:443", "-u", "me"][..],
            &["x", "--algo=kawpow", "--server", "h:1"],
            &["x", "-o", "203.0.113.9:443", "-u", &worker, "-k"],
            &["x", &format!("--user={wallet}"), "--url=h:1"],
        ] {
            assert!(judged(argv), "{argv:?}");
        }
        for argv in [
            &["x", "-a", "append", "-o", "out.txt", "-u", "me"][..],
            &["x", "-u", &wallet],
            &["x", "-o", &"4".repeat(94)],
            &["x", "--algo=sha256", "-o", "file"],
        ] {
            assert!(!judged(argv), "{argv:?}");
        }
    }
}
