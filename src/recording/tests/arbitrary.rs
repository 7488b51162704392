//! Any event of any kind, with any bytes.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::event::*;

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        vec(any::<u8>(), 0..24).prop_map(Bytes::from),
        "\\PC{0,12}".prop_map(|s| Bytes::from(s.as_str())),
    ]
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u16; 8], u16)>().prop_map(SocketAddr::from),
    ]
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        address().prop_map(Endpoint::Inet),
        bytes().prop_map(Endpoint::Unix)
    ]
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..i64::MAX).prop_map(Timestamp)
}

fn facts() -> impl Strategy<Value = FileFacts> {
    (any::<(u64, u32, bool, bool, bool, bool)>(), timestamp()).prop_map(
        |((ino, dev, upper, lower, memfd, unlinked), mtime)| FileFacts {
            ino,
            dev,
            fs: Filesystem::Overlay,
            upper,
            lower,
            memfd,
            unlinked,
            size: ino / 3,
            mtime,
            ctime: mtime,
            mode: dev,
        },
    )
}

fn process_kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (
            vec(bytes(), 0..5),
            bytes(),
            option::of(bytes()),
            facts(),
            any::<bool>()
        )
            .prop_map(|(argv, exe, script, file, flag)| {
                Kind::Exec(Box::new(Exec {
                    argv,
                    cwd: exe.clone(),
                    exe,
                    script,
                    file,
                    argv_cut: flag,
                    tty: flag,
                    runtime: !flag,
                    ..Exec::default()
                }))
            }),
        (any::<u32>(), bytes(), any::<bool>()).prop_map(|(ppid, comm, runtime)| Kind::Fork(Fork {
            ppid,
            creator: 0,
            uid: 0,
            comm,
            runtime
        })),
        any::<(Option<u8>, Option<u8>, u64)>().prop_map(|(code, signal, lived_ns)| Kind::Exit(
            Exit {
                code,
                signal,
                lived_ns
            }
        )),
        (vec(bytes(), 0..3), timestamp(), facts()).prop_map(|(argv, started, file)| {
            Kind::Process(Box::new(Process {
                argv,
                started,
                file,
                tty: true,
                mapped: Vec::new(),
                mapped_more: 0,
                streams: vec![
                    Stream::Pipe(file.ino),
                    Stream::Terminal,
                    Stream::Peer(([10, 0, 0, 1], 4444).into()),
                ],
                ..Process::default()
            }))
        }),
    ]
}

fn network_kinds() -> impl Strategy<Value = Kind> {
    let outcome = prop_oneof![
        Just(Outcome::Established),
        Just(Outcome::InProgress),
        any::<u16>().prop_map(Outcome::Failed)
    ];
    let ip = any::<[u16; 8]>().prop_map(IpAddr::from);
    prop_oneof![
        (option::of(address()), endpoint(), outcome, bytes()).prop_map(
            |(local, remote, outcome, comm)| Kind::Connect(Box::new(Connect {
                protocol: Protocol::Tcp,
                local,
                remote,
                outcome,
                cookie: u64::MAX,
                comm,
                fd: -1,
                via: None,
            }))
        ),
        (address(), address(), bytes()).prop_map(|(local, remote, comm)| {
            Kind::Accept(Box::new(Accept {
                protocol: Protocol::Udp,
                local,
                remote,
                cookie: 1,
                comm,
                via: Some(Via::IoUring),
            }))
        }),
        (address(), address(), any::<(u64, bool)>()).prop_map(|(local, remote, (n, inbound))| {
            Kind::Close(Box::new(Close {
                local,
                remote,
                tx_bytes: n,
                rx_bytes: n,
                lasted_ns: n,
                cookie: n,
                inbound,
            }))
        }),
        (address(), bytes()).prop_map(|(local, comm)| Kind::Listen(Listen {
            protocol: Protocol::Tcp,
            local,
            comm,
            via: None,
        })),
        (address(), option::of(address()), timestamp(), bytes()).prop_map(
            |(local, remote, seen, comm)| {
                Kind::Socket(Box::new(Socket {
                    protocol: Protocol::Raw,
                    local,
                    remote,
                    inbound: true,
                    seen,
                    comm,
                }))
            }
        ),
        (bytes(), vec(ip, 0..3), any::<u8>()).prop_map(|(name, addresses, rcode)| {
            Kind::Dns(Box::new(Dns {
                name,
                qtype: "AAAA".to_owned(),
                rcode,
                cut: rcode > 127,
                server: addresses.first().copied(),
                addresses,
            }))
        }),
    ]
}

fn file_kinds() -> impl Strategy<Value = Kind> {
    let class = prop_oneof![
        Just(CompareClass::New),
        Just(CompareClass::CopiedUp),
        bytes().prop_map(CompareClass::Relocated),
        "\\PC{0,8}".prop_map(CompareClass::Unknown)
    ];
    prop_oneof![
        (
            bytes(),
            option::of(bytes()),
            option::of(facts()),
            any::<(bool, u16, u32)>()
        )
            .prop_map(|(path, target, file, (unresolved, errno, count))| {
                Kind::File(Box::new(File {
                    comm: path.clone(),
                    target,
                    source: file.map(|_| path.clone()),
                    unresolved,
                    errno,
                    mode: Some(count),
                    file,
                    count,
                    ..File::new(FileOp::Rename, path)
                }))
            }),
        (bytes(), class, any::<u64>()).prop_map(|(path, class, size)| {
            Kind::Compare(Box::new(Compare {
                path,
                ino: size,
                dev: 3,
                class,
                sha256: Some("ab".repeat(32)),
                size,
            }))
        }),
        (bytes(), any::<u64>(), any::<i64>()).prop_map(|(path, size, at)| {
            let entry = Differing {
                path: path.clone(),
                difference: Difference::Changed,
                class: FileClass::Config,
                kind: NodeKind::Symlink,
                metadata_only: size % 2 == 0,
                size,
                size_before: Some(size),
                mode: 0o120_777,
                mode_before: (size % 3 == 0).then_some(0o100_644),
                uid: 1,
                gid: 2,
                mtime: Timestamp(at),
                ctime: Timestamp(at),
                target: Some(path.clone()),
                sha256: Some("ab".repeat(32)),
                package: Some(path.clone()),
                below: Some(size),
                note: Some("x".to_owned()),
            };
            let mut count = Count::default();
            count.add(entry.difference);
            Kind::DriftScan(Box::new(DriftScan {
                counts: [(entry.class, count)].into(),
                entries: vec![entry],
                unlisted: size,
                packages: vec![PackageChange {
                    name: path,
                    before: None,
                    after: Some("1".into()),
                }],
                failed: Some("why".to_owned()),
                ..DriftScan::default()
            }))
        }),
    ]
}

fn other_kinds() -> impl Strategy<Value = Kind> {
    let action = prop_oneof![
        Just(ContainerAction::Existing),
        any::<i64>().prop_map(ContainerAction::Died),
        bytes().prop_map(ContainerAction::ExecStarted),
        "\\PC{0,8}".prop_map(ContainerAction::Health)
    ];
    prop_oneof![
        (bytes(), vec(any::<u64>(), 0..4), any::<(u16, i64)>()).prop_map(
            |(detail, args, (errno, ret))| Kind::Privilege(Box::new(Privilege {
                call: "mount".to_owned(),
                args,
                detail,
                errno,
                ret,
                ..Privilege::default()
            }))
        ),
        bytes().prop_map(|comm| Kind::Capability(Capability {
            name: "SYS_ADMIN".to_owned(),
            granted: false,
            comm
        })),
        (bytes(), any::<u16>()).prop_map(|(comm, errno)| Kind::Syscall(Syscall {
            name: "openat".to_owned(),
            errno,
            comm
        })),
        (action, bytes(), option::of(timestamp())).prop_map(|(action, name, created)| {
            let info = ContainerInfo {
                command: vec![name.clone()],
                labels: [("a\"\n".to_owned(), name.clone())].into(),
                name,
                created,
                ..ContainerInfo::default()
            };
            Kind::Container(Box::new(ContainerEvent {
                action,
                info: Some(Box::new(info)),
            }))
        }),
        any::<(u32, u64)>().prop_map(|(n, lost_total)| Kind::Tick(Box::new(Tick {
            processes: (n % 2 == 0).then(|| {
                vec![ProcessUsage {
                    pid: n,
                    cpu_milli: n,
                    memory: lost_total,
                }]
            }),
            usage: vec![ContainerUsage {
                id: super::container(),
                cpu_milli: n,
                memory: lost_total,
                pids: n
            }],
            lost_total,
            clock_step: i64::from(n) - 1,
        }))),
        (vec(bytes(), 0..3), bytes(), "\\PC{0,8}", any::<u32>()).prop_map(
            |(targets, detail, command, uid)| Kind::Response(Box::new(Response {
                action: ResponseAction::CopyOut,
                targets,
                uid,
                user: detail.clone(),
                undo: command.clone(),
                command,
                outcome: ResponseOutcome::Failed,
                detail,
            }))
        ),
        ("\\PC{0,8}", any::<u64>()).prop_map(|(detail, count)| Kind::Lost(Lost {
            reason: LostReason::RingFull,
            count,
            detail
        })),
    ]
}

/// Events of every kind, numbered from 1.
pub(super) fn events(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Event>> {
    let kind = prop_oneof![
        process_kinds(),
        network_kinds(),
        file_kinds(),
        other_kinds()
    ];
    let one = (kind, timestamp(), any::<(u32, u32, bool)>());
    vec(one, count).prop_map(|kinds| {
        (1..)
            .zip(kinds)
            .map(|(seq, (kind, ts, (pid, nspid, host)))| Event {
                seq,
                ts,
                container: (!host).then(super::container),
                pid,
                nspid,
                kind,
            })
            .collect()
    })
}
