//! The socket and name probes alone, on the running kernel. Everything stays on the loopback
//! interface.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::time::Duration;

use crate::cgroup::Container;
use crate::common;
use hullwatch::event::{Accept, Close, Connect, Endpoint, Kind, LostReason, Outcome, Protocol};
use hullwatch::probe::{Observation, Observed, Probe, ProbeConfig};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

pub fn argument() -> String {
    std::env::var("HULLWATCH_TEST").expect("run by the other tests")
}

pub fn start() -> Probe {
    let probe = Probe::load(&ProbeConfig::default()).unwrap();
    for name in ["net_exit", "net_state", "net_send4", "dns_ingress"] {
        let report = probe.report();
        assert!(report.attached.iter().any(|a| a == name), "{report:?}");
    }
    probe
}

/// Drains the probe until no more events of a cgroup arrive: a connection may end shortly after its
/// process.
pub fn settled(probe: &mut Probe, cgroup: u64, take: &mut dyn FnMut(Observed)) {
    let mut quiet = 0;
    while quiet < 5 {
        std::thread::sleep(Duration::from_millis(100));
        let mut came = false;
        probe.drain(&mut |observed: Observed| {
            came |= observed.cgroup == cgroup;
            take(observed);
        });
        quiet = if came { 0 } else { quiet + 1 };
    }
}

/// Waits until a non-blocking connect has succeeded or failed.
fn until_decided(socket: &rustix::fd::OwnedFd) {
    let flags = rustix::event::PollFlags::OUT;
    let mut polled = [rustix::event::PollFd::new(socket, flags)];
    assert_eq!(rustix::event::poll(&mut polled, None), Ok(1));
}

/// The observed sockets and names in `cgroup`, which must all belong to `pid`. Other tests have
/// containers of their own at the same time.
pub fn seen(probe: &mut Probe, cgroup: u64, pid: u32) -> Vec<Kind> {
    let mut kinds = Vec::new();
    settled(probe, cgroup, &mut |observed: Observed| {
        let Observation::Event(kind) = observed.fact else {
            return;
        };
        if observed.cgroup != cgroup {
            return;
        }
        if matches!(
            kind,
            Kind::Connect(_) | Kind::Accept(_) | Kind::Close(_) | Kind::Listen(_) | Kind::Dns(_)
        ) {
            assert_eq!(observed.pid, pid, "{kind:?}");
            assert_ne!(observed.nspid, 0);
            kinds.push(kind);
        } else if matches!(kind, Kind::Privilege(_)) {
            kinds.push(kind);
        }
    });
    assert!(probe.losses().is_empty());
    kinds
}

fn connects(kinds: &[Kind], remote: SocketAddr) -> Vec<&Connect> {
    kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Connect(c) if c.remote == Endpoint::Inet(remote) => Some(&**c),
            _ => None,
        })
        .collect()
}

fn closes(kinds: &[Kind]) -> Vec<&Close> {
    kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Close(c) => Some(&**c),
            _ => None,
        })
        .collect()
}

/// An address on which nothing listens.
fn unused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Accepts one connection: reads 1000 bytes, writes 50000, and waits for the end.
fn serve(listener: TcpListener) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.read_exact(&mut [0; 1000]).unwrap();
        peer.write_all(&[7; 50_000]).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    })
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_tcp() {
    let argument = argument();
    let mut addresses = argument.split(' ').map(|a| a.parse().unwrap());
    let mut next = || -> SocketAddr { addresses.next().unwrap() };
    for _ in 0..2 {
        let mut peer = TcpStream::connect(next()).unwrap();
        peer.write_all(&[1; 1000]).unwrap();
        peer.read_exact(&mut [0; 50_000]).unwrap();
    }
    let refused = next();
    assert!(TcpStream::connect(refused).is_err());
    // Non-blocking: one succeeds and one fails.
    for address in [next(), refused] {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let begun = rustix::net::connect(&socket, &address);
        assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
        until_decided(&socket);
    }
}

#[test]
fn reports_tcp_connections_with_outcome_and_bytes() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = start();
    let container = Container::new("1c");
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let six = TcpListener::bind("[::1]:0").unwrap();
    let waits = TcpListener::bind("127.0.0.1:0").unwrap();
    let (four_at, six_at) = (four.local_addr().unwrap(), six.local_addr().unwrap());
    let (waits_at, refused) = (waits.local_addr().unwrap(), unused());
    let servers = [serve(four), serve(six)];
    let pid = container.run_test(
        "sockets::inside_tcp",
        &format!("{four_at} {six_at} {refused} {waits_at}"),
    );
    for server in servers {
        server.join().unwrap();
    }
    let kinds = seen(&mut probe, container.id(), pid);
    for remote in [four_at, six_at] {
        let [connect] = connects(&kinds, remote)[..] else {
            panic!("{kinds:?}");
        };
        assert_eq!(connect.outcome, Outcome::Established);
        assert_eq!(connect.protocol, Protocol::Tcp);
        assert!(connect.fd > 2 && connect.comm.starts_with(b"sockets::inside"));
        let closed = closes(&kinds);
        let closed = closed
            .iter()
            .find(|c| c.cookie == connect.cookie)
            .expect("its end");
        assert_eq!((closed.tx_bytes, closed.rx_bytes), (1000, 50_000));
        assert_eq!((closed.remote, closed.inbound), (remote, false));
        assert_eq!(Some(closed.local), connect.local);
        assert!(closed.lasted_ns > 0);
    }
    let outcomes: Vec<_> = connects(&kinds, refused)
        .iter()
        .map(|c| c.outcome)
        .filter(|o| *o != Outcome::InProgress)
        .collect();
    assert_eq!(outcomes, [Outcome::Failed(111), Outcome::Failed(111)]);
    let later = connects(&kinds, waits_at);
    assert_eq!(later.last().unwrap().outcome, Outcome::Established);
    assert!(later.iter().all(|c| c.cookie == later[0].cookie));
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_pending() {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK,
        None,
    )
    .unwrap();
    let address: SocketAddr = argument().parse().unwrap();
    let begun = rustix::net::connect(&socket, &address);
    assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
    // Kept open for a moment, then closed: nothing ever answers.
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn reports_the_later_outcome_of_a_connection_that_waits() {
    if !common::kernel_is_ready() {
        return;
    }
    // The queue of this listener is full, so that it does not answer.
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let _fills = TcpStream::connect(address).unwrap();
    let mut probe = start();
    let container = Container::new("1d");
    let pid = container.run_test("sockets::inside_pending", &address.to_string());
    let kinds = seen(&mut probe, container.id(), pid);
    let [first, last] = connects(&kinds, address)[..] else {
        panic!("{kinds:?}");
    };
    assert_eq!(first.outcome, Outcome::InProgress);
    // Closed by its own process: ECANCELED.
    assert_eq!(last.outcome, Outcome::Failed(125));
    assert_eq!(first.cookie, last.cookie);
    assert_ne!(first.cookie, 0);
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"hello").unwrap();
    drop(peer);
    let mut client = client;
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(client);
    let port: u16 = argument().parse().unwrap();
    let _bound = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    // The kernel chooses: no service.
    let _chosen = UdpSocket::bind("127.0.0.1:0").unwrap();
}

#[test]
fn reports_listeners_and_accepted_connections() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = start();
    let container = Container::new("1e");
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let pid = container.run_test("sockets::inside_server", &port.to_string());
    let kinds = seen(&mut probe, container.id(), pid);
    let listens: Vec<_> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Listen(l) => Some((l.protocol, l.local)),
            _ => None,
        })
        .collect();
    let [(Protocol::Tcp, server), (Protocol::Udp, bound)] = listens[..] else {
        panic!("{listens:?}");
    };
    assert_eq!(bound.port(), port);
    let accepted: Vec<&Accept> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Accept(a) => Some(&**a),
            _ => None,
        })
        .collect();
    let [accepted] = accepted[..] else {
        panic!("{kinds:?}");
    };
    assert_eq!(accepted.local, server);
    let [connect] = connects(&kinds, server)[..] else {
        panic!("{kinds:?}");
    };
    assert_eq!(connect.local, Some(accepted.remote));
    let closed = closes(&kinds);
    let inbound = closed.iter().find(|c| c.inbound).expect("the server's end");
    assert_eq!(inbound.cookie, accepted.cookie);
    assert_eq!((inbound.tx_bytes, inbound.rx_bytes), (5, 0));
    let outbound = closed.iter().find(|c| !c.inbound).expect("the client's");
    assert_eq!((outbound.tx_bytes, outbound.rx_bytes), (0, 5));
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_others() {
    let argument = argument();
    let (peer, directory) = argument.split_once(' ').unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        socket.send_to(b"x", peer).unwrap();
    }
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(peer).unwrap();
    UnixStream::connect(format!("{directory}/a\nsocket")).unwrap();
    let name = UnixAddr::from_abstract_name(b"hullwatch\x1btest").unwrap();
    assert!(UnixStream::connect_addr(&name).is_err());
    assert!(UnixStream::connect(format!("{directory}/docker.sock")).is_err());
    rustix::net::socket(
        AddressFamily::PACKET,
        SocketType::RAW,
        rustix::net::Protocol::from_raw(0x300.try_into().unwrap()).into(),
    )
    .unwrap();
}

#[test]
fn reports_datagrams_once_unix_peers_and_packet_sockets() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = start();
    let container = Container::new("1f");
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer_at = peer.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let _listener = UnixListener::bind(format!("{path}/a\nsocket")).unwrap();
    let pid = container.run_test("sockets::inside_others", &format!("{peer_at} {path}"));
    let kinds = seen(&mut probe, container.id(), pid);
    let datagrams = connects(&kinds, peer_at);
    assert_eq!(datagrams.len(), 2, "{kinds:?}");
    assert!(datagrams.iter().all(|c| c.protocol == Protocol::Udp));
    // The second one connected, so that its own address is known.
    assert!(datagrams[0].local.is_none() && datagrams[1].local.is_some());
    let unix: Vec<_> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Connect(c) => match &c.remote {
                Endpoint::Unix(name) => Some((name.to_vec(), c.outcome)),
                Endpoint::Inet(_) => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(
        unix,
        [
            (
                format!("{path}/a\nsocket").into_bytes(),
                Outcome::Established
            ),
            (b"@hullwatch\x1btest".to_vec(), Outcome::Failed(111)),
            (
                format!("{path}/docker.sock").into_bytes(),
                Outcome::Failed(2)
            ),
        ]
    );
    let raw = kinds
        .iter()
        .find_map(|kind| match kind {
            Kind::Privilege(p) if p.call == "socket" => Some(p),
            _ => None,
        })
        .expect("the packet socket");
    assert_eq!(raw.detail, "AF_PACKET SOCK_RAW ETH_P_ALL");
    assert_eq!(raw.errno, 0);
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_many() {
    let to: SocketAddr = argument().parse().unwrap();
    let open: Vec<_> = (0..6).map(|_| TcpStream::connect(to).unwrap()).collect();
    drop(open);
}

#[test]
fn counts_connections_it_cannot_track() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = Probe::load(&ProbeConfig {
        connections: 2,
        ..ProbeConfig::default()
    })
    .unwrap();
    let container = Container::new("18");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    container.run_test("sockets::inside_many", &to.to_string());
    drop(listener);
    let mut closed = 0;
    let mut connected = 0;
    settled(&mut probe, container.id(), &mut |observed| {
        if observed.cgroup == container.id() {
            match observed.fact {
                Observation::Event(Kind::Connect(_)) => connected += 1,
                Observation::Event(Kind::Close(_)) => closed += 1,
                _ => {}
            }
        }
    });
    assert_eq!(connected, 6, "each is reported as it begins");
    let losses = probe.losses();
    let lost: u64 = losses
        .iter()
        .filter(|l| l.reason == LostReason::MapFull && l.cgroup == Some(container.id()))
        .map(|l| l.count)
        .sum();
    assert_eq!(closed + lost, 6, "{losses:?}");
    // Containers of other tests may use some of the entries.
    assert!(lost >= 4, "{losses:?}");
}

#[test]
fn reports_nothing_from_outside_the_container() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        drop(listener.accept().unwrap());
    }
    probe.drain(&mut |observed| {
        assert_ne!(observed.pid, std::process::id(), "{:?}", observed.fact);
    });
}
