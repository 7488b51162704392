//! The name probe alone: answers over datagrams and streams, on the loopback interface.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::cgroup::Container;
use crate::common;
use crate::sockets::{seen, start};
use hullwatch::event::{Dns, Kind};

/// Address of the test's name server; all of 127.0.0.0/8 is this machine.
const NAME_SERVER: &str = "127.83.12.53:53";

/// A question for the address of `name`.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// The answer to a question: one address, or "no such name" if the name begins with `no`.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] |= 0x80;
    if &question[13..15] == b"no" {
        message[3] |= 3;
    } else {
        message[7] = 1;
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
    }
    message
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_names() {
    let wait = Some(Duration::from_secs(5));
    let mut room = [0; 512];
    let connected = UdpSocket::bind("0.0.0.0:0").unwrap();
    connected.connect(NAME_SERVER).unwrap();
    connected.set_read_timeout(wait).unwrap();
    connected.send(&question("WWW.Example.test")).unwrap();
    connected.recv(&mut room).unwrap();
    let named = UdpSocket::bind("0.0.0.0:0").unwrap();
    named.set_read_timeout(wait).unwrap();
    named
        .send_to(&question("nowhere.test"), NAME_SERVER)
        .unwrap();
    named.recv(&mut room).unwrap();
    let mut stream = TcpStream::connect(NAME_SERVER).unwrap();
    stream.set_read_timeout(wait).unwrap();
    let asked = question("stream.test");
    stream.write_all(&framed(&asked)).unwrap();
    assert_ne!(stream.read(&mut room).unwrap(), 0);
}

#[test]
fn reports_answers_to_name_queries() {
    if !common::kernel_is_ready() {
        return;
    }
    let mut probe = start();
    let container = Container::new("17");
    let datagrams = UdpSocket::bind(NAME_SERVER).unwrap();
    let streams = TcpListener::bind(NAME_SERVER).unwrap();
    let server = std::thread::spawn(move || {
        let mut room = [0; 512];
        for _ in 0..2 {
            let (len, from) = datagrams.recv_from(&mut room).unwrap();
            datagrams.send_to(&answer(&room[..len]), from).unwrap();
        }
        let (mut peer, _) = streams.accept().unwrap();
        let len = peer.read(&mut room).unwrap();
        let reply = answer(&room[2..len]);
        peer.write_all(&framed(&reply)).unwrap();
    });
    let pid = container.run_test("names::inside_names", "");
    server.join().unwrap();
    let kinds = seen(&mut probe, container.id(), pid);
    let answers: Vec<&Dns> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Dns(dns) => Some(&**dns),
            _ => None,
        })
        .collect();
    let [first, nowhere, stream] = answers[..] else {
        panic!("{kinds:?}");
    };
    let server: SocketAddr = NAME_SERVER.parse().unwrap();
    assert!(answers.iter().all(|a| a.server == Some(server.ip())));
    let address: IpAddr = "192.0.2.77".parse().unwrap();
    assert_eq!(first.name, "www.example.test");
    assert_eq!((first.qtype.as_str(), first.rcode), ("A", 0));
    assert_eq!(first.addresses, [address]);
    assert_eq!((nowhere.rcode, nowhere.addresses.len()), (3, 0));
    assert_eq!(nowhere.name, "nowhere.test");
    assert_eq!(
        (&*stream.name, &stream.addresses[..]),
        ("stream.test".into(), &[address][..])
    );
}

/// Addresses of the second name server, and a container's number for each.
const LARGE_SERVERS: [(&str, &str); 2] = [("127.83.12.54:53", "18"), ("[::1]:53", "19")];

/// An answer with 121 addresses, or with one behind a chain of 15 long names.
fn large(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] |= 0x80;
    let (chain, addresses) = match &question[13..18] {
        b"chain" => (15, 1),
        _ => (0, 121),
    };
    message[7] = chain + addresses;
    let mut name = vec![0xc0, 12];
    for n in 0..chain {
        let mut next = Vec::new();
        for label in 0..4_u8 {
            next.push(60);
            next.extend([b'a' + label, b'a' + n].repeat(30));
        }
        next.push(0);
        message.extend_from_slice(&name);
        message.extend_from_slice(&[0, 5, 0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(next.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&next);
        name = next;
    }
    for n in 0..addresses {
        message.extend_from_slice(&name);
        message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, n]);
    }
    message
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    framed
}

/// A message with its length prefix.
fn read_framed(peer: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    peer.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    peer.read_exact(&mut message).unwrap();
    message
}

#[test]
#[ignore = "runs inside the container of another test"]
fn inside_large_names() {
    let server: SocketAddr = std::env::var("HULLWATCH_TEST").unwrap().parse().unwrap();
    let any = if server.is_ipv6() {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let mut room = [0; 16384];
    for name in ["many.test", "chain.test"] {
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(server).unwrap();
        socket.send(&question(name)).unwrap();
        assert!(socket.recv(&mut room).unwrap() > 1024);
    }
    for names in [
        &["length.test"][..],
        &["halves.test"],
        &["first.test", "second.test"],
    ] {
        let mut stream = TcpStream::connect(server).unwrap();
        let asked = names.iter().flat_map(|name| framed(&question(name)));
        stream.write_all(&asked.collect::<Vec<_>>()).unwrap();
        for _ in names {
            read_framed(&mut stream);
        }
    }
}

#[test]
fn answers_that_do_not_fit_in_a_packet_are_reported_whole() {
    if !common::kernel_is_ready() {
        return;
    }
    for (address, number) in LARGE_SERVERS {
        large_answers_from(address, number);
    }
}

fn large_answers_from(address: &str, number: &str) {
    let Ok(datagrams) = UdpSocket::bind(address) else {
        assert!(
            address.starts_with('['),
            "this host's own name server, or no IPv6"
        );
        return;
    };
    let mut probe = start();
    let container = Container::new(number);
    let streams = TcpListener::bind(address).unwrap();
    let server = std::thread::spawn(move || {
        let mut room = [0; 512];
        for _ in 0..2 {
            let (len, from) = datagrams.recv_from(&mut room).unwrap();
            datagrams.send_to(&large(&room[..len]), from).unwrap();
        }
        for way in 0..3 {
            let (mut peer, _) = streams.accept().unwrap();
            peer.set_nodelay(true).unwrap();
            let mut reply = framed(&large(&read_framed(&mut peer)));
            // Each write is a segment of its own.
            let cut = [2, 900, 0][way];
            if way == 2 {
                reply.extend(framed(&large(&read_framed(&mut peer))));
            }
            peer.write_all(&reply[..cut]).unwrap();
            peer.write_all(&reply[cut..]).unwrap();
        }
    });
    let pid = container.run_test("names::inside_large_names", address);
    server.join().unwrap();
    let kinds = seen(&mut probe, container.id(), pid);
    let answers: Vec<(String, usize, bool)> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Dns(dns) => Some((dns.name.escaped().to_string(), dns.addresses.len(), dns.cut)),
            _ => None,
        })
        .collect();
    let answer = |name: &str, addresses| (format!("{name}.test"), addresses, false);
    assert_eq!(
        answers,
        [
            answer("many", 121),
            answer("chain", 1),
            answer("length", 121),
            answer("halves", 121),
            answer("first", 121),
            answer("second", 121),
        ]
    );
}
