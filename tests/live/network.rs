//! Socket facts and names, in a real container.

use std::net::SocketAddr;

use hullwatch::event::{Connect, ContainerId, Endpoint, Kind, Outcome, Protocol};

use crate::common::{self, DEBIAN, Engine, Recording, Session};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The connection attempt to an address.
fn connect<'a>(session: &'a Session, id: &'a ContainerId, remote: &str) -> (u32, &'a Connect) {
    let (event, connect) = session.find(id, remote, |kind| match kind {
        Kind::Connect(c) if c.remote == Endpoint::Inet(at(remote)) => Some(&**c),
        _ => None,
    });
    (event.pid, connect)
}

/// A TCP exchange of 1000 bytes for 5000, seen from both sides.
fn exchanged(session: &Session, id: &ContainerId, init: u32, remote: &str) {
    let (pid, connect) = connect(session, id, remote);
    assert_eq!((pid, connect.protocol), (init, Protocol::Tcp));
    assert_eq!(connect.outcome, Outcome::Established);
    assert_eq!(connect.comm, "perl");
    let (listened, _) = session.find(id, "listen", |kind| match kind {
        Kind::Listen(l) if l.local == at(remote) && l.protocol == Protocol::Tcp => Some(()),
        _ => None,
    });
    let (accepted, accept) = session.find(id, "accept", |kind| match kind {
        Kind::Accept(a) if a.local == at(remote) => Some(a),
        _ => None,
    });
    assert_eq!(Some(accept.remote), connect.local);
    assert_eq!(accepted.pid, listened.pid);
    assert_ne!(accepted.pid, init);
    for (inbound, remote, bytes) in [
        (false, at(remote), (1000, 5000)),
        (true, accept.remote, (5000, 1000)),
    ] {
        let (event, close) = session.find(id, "close", |kind| match kind {
            Kind::Close(c) if c.remote == remote && c.inbound == inbound => Some(c),
            _ => None,
        });
        assert_eq!((close.tx_bytes, close.rx_bytes), bytes);
        assert!(close.lasted_ns > 0);
        assert_eq!(event.pid, if inbound { accepted.pid } else { init });
    }
}

#[test]
fn connections_datagrams_and_names_are_reported() {
    if !common::engine_is_ready() {
        return;
    }
    let engine = Engine::tests();
    let mut recording = Recording::start(&engine);
    let six = ["--sysctl", "net.ipv6.conf.all.disable_ipv6=0"];
    let script = include_str!("inside/sockets.pl");
    let container = engine.run_to_end(&six, DEBIAN, &["perl", "-e", script]);
    recording.wait_for_exit(&container.id);
    let session = recording.stop();
    let id = &container.id;
    let (first, _) = session.find(id, "the first program", |kind| match kind {
        Kind::Exec(exec) if exec.exe.ends_with(b"/perl") => Some(()),
        _ => None,
    });
    let init = first.pid;
    for remote in ["127.0.0.2:4001", "[::1]:6001", "127.0.0.6:4006"] {
        exchanged(&session, id, init, remote);
    }
    let (pid, refused) = connect(&session, id, "127.0.0.3:4002");
    assert_eq!((pid, refused.outcome), (init, Outcome::Failed(111)));
    // Connected; then sendto, sendmsg and sendmmsg, which pass the peer address each time.
    for port in 4100..=4104 {
        let (pid, sent) = connect(&session, id, &format!("127.0.0.4:{port}"));
        assert_eq!((pid, sent.protocol), (init, Protocol::Udp));
        assert_eq!(sent.local.is_some(), port == 4100, "{sent:?}");
    }
    session.find(id, "a bound datagram socket", |kind| match kind {
        Kind::Listen(l) if l.local == at("127.0.0.4:4100") => Some(()),
        _ => None,
    });
    let (asked, dns) = session.find(id, "an answer", |kind| match kind {
        Kind::Dns(dns) => Some(dns),
        _ => None,
    });
    assert_eq!(asked.pid, init);
    assert_eq!(dns.name, "api.example.test");
    assert_eq!(dns.addresses, [at("127.0.0.6:0").ip()]);
    assert_eq!(dns.server, Some(at("127.0.0.53:0").ip()));
    // The connection after the answer has the name.
    let core = session.state_at(u64::MAX);
    let named = core.state.connections.iter().find(|(key, _)| {
        key.endpoint == Endpoint::Inet(at("127.0.0.6:4006")) && key.owner.as_ref() == Some(id)
    });
    assert_eq!(*named.unwrap().1.name.as_ref().unwrap(), "api.example.test");
    assert!(session.losses().is_empty(), "{:?}", session.losses());
}
