//! The approximate size of an event in memory.

use super::{Bytes, Endpoint, Event, Kind};

/// Bytes of an event, its box and its table entry, without its texts.
const BARE: usize = 320;
/// A word in addition to its bytes.
const WORD: usize = 40;

/// Approximate bytes of these texts.
pub(crate) fn weight_of<'a>(words: impl IntoIterator<Item = &'a Bytes>) -> usize {
    words.into_iter().map(|word| WORD + word.len()).sum()
}

impl Event {
    /// Approximate bytes, including texts that others may share. The same for an event that was
    /// recorded and read again.
    #[must_use]
    pub fn weight(&self) -> usize {
        let words = self.kind.words().unwrap_or_else(|| {
            // Approximately its line, and as much again for tables.
            let mut line = Vec::new();
            // A value that cannot be written cannot have been read from a file.
            let _ = self.write_json(&mut line);
            line.len() * 2
        });
        BARE + self.container.as_ref().map_or(0, |id| id.as_str().len()) + words
    }
}

impl Kind {
    /// Approximate bytes of its texts; `None` for rare kinds with many fields.
    fn words(&self) -> Option<usize> {
        let peer = |endpoint: &Endpoint| match endpoint {
            Endpoint::Unix(path) => path.len(),
            Endpoint::Inet(_) => 0,
        };
        Some(match self {
            Self::Exec(exec) => {
                let own = [&exec.comm, &exec.exe, &exec.cwd];
                weight_of(own) + weight_of(&exec.script) + weight_of(&exec.argv)
            }
            Self::Process(process) => {
                let own = [&process.comm, &process.exe, &process.cwd];
                let mapped = process.mapped.iter().map(|mapped| &mapped.path);
                // The targets of its three standard descriptors, from `/proc`.
                let streams = process.streams.len() * 256;
                weight_of(own) + weight_of(&process.argv) + weight_of(mapped) + streams
            }
            Self::ExecRefused(refused) => weight_of([&refused.path, &refused.comm]),
            Self::Fork(fork) => fork.comm.len(),
            Self::Exit(_) | Self::Close(_) | Self::Lost(_) => 0,
            Self::Connect(connect) => connect.comm.len() + peer(&connect.remote),
            Self::Accept(accept) => accept.comm.len(),
            Self::Listen(listen) => listen.comm.len(),
            Self::File(file) => {
                let attribute = file.attribute.iter().flat_map(|a| [&a.name, &a.value]);
                weight_of([&file.path, &file.comm])
                    + weight_of(&file.target)
                    + weight_of(&file.source)
                    + weight_of(attribute)
            }
            Self::Dns(dns) => dns.name.len() + dns.qtype.len() + dns.addresses.len() * 20,
            Self::Compare(compare) => weight_of([&compare.path]) + 128,
            Self::Privilege(call) => {
                weight_of([&call.detail, &call.comm]) + call.call.len() + call.args.len() * 8
            }
            Self::Capability(used) => used.name.len() + used.comm.len(),
            Self::Syscall(call) => call.name.len() + call.comm.len(),
            Self::Tick(tick) => {
                tick.usage.len() * 128 + tick.processes.as_ref().map_or(0, |p| p.len() * 32)
            }
            Self::Socket(_)
            | Self::DriftScan(_)
            | Self::Container(_)
            | Self::Client(_)
            | Self::Policy(_)
            | Self::Response(_)
            | Self::Baseline(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Exec, Timestamp};

    #[test]
    fn words_weigh_what_they_are_long() {
        let event = |length: usize| Event {
            seq: 1,
            ts: Timestamp(1),
            container: None,
            pid: 1,
            nspid: 1,
            kind: Kind::Exec(Box::new(Exec {
                argv: vec!["x".repeat(length).as_str().into()],
                ..Exec::default()
            })),
        };
        let (small, large) = (event(10).weight(), event(100_010).weight());
        assert_eq!(large - small, 100_000);
        let mut line = Vec::new();
        event(5_000).write_json(&mut line).unwrap();
        let read = Event::from_json(&line).unwrap();
        assert_eq!(read.weight(), event(5_000).weight());
    }
}
