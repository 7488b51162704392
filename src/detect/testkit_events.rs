//! Actions of processes in the rules' test environment: files, connections, privileged calls.

use super::testkit::{World, upper};
use crate::event::{
    Accept, Capability, Compare, CompareClass, Connect, Dns, Endpoint, File, FileOp, Kind, Listen,
    Outcome, Privilege, Protocol,
};

impl World {
    /// A file operation in all its fields.
    pub(super) fn file_as(
        &mut self,
        pid: u32,
        op: FileOp,
        path: &str,
        change: impl FnOnce(&mut File),
    ) {
        let mut file = File {
            comm: "x".into(),
            ..File::new(op, path.into())
        };
        change(&mut file);
        self.fact(pid, Kind::File(Box::new(file)));
    }

    /// A file operation in the container's root.
    pub(super) fn file(&mut self, pid: u32, op: FileOp, path: &str) {
        self.file_as(pid, op, path, |f| f.file = Some(upper(77)));
    }

    /// A file is created.
    pub(super) fn create(&mut self, pid: u32, path: &str) {
        self.file(pid, FileOp::Create, path);
    }

    /// A file is moved.
    pub(super) fn rename(&mut self, pid: u32, from: &str, to: &str) {
        self.link(pid, FileOp::Rename, from, to);
    }

    /// An operation with two paths.
    pub(super) fn link(&mut self, pid: u32, op: FileOp, from: &str, to: &str) {
        self.file_as(pid, op, from, |f| f.target = Some(to.into()));
    }

    /// A refused operation.
    pub(super) fn refused(&mut self, pid: u32, op: FileOp, path: &str, errno: u16) {
        self.file_as(pid, op, path, |f| f.errno = errno);
    }

    /// A comparison's result.
    pub(super) fn compare(&mut self, path: &str, ino: u64, class: CompareClass) {
        let compare = Compare {
            path: path.into(),
            ino,
            dev: 40,
            class,
            sha256: Some("ab".repeat(32)),
            size: 1000,
        };
        self.emit(0, 0, Kind::Compare(Box::new(compare)));
    }

    /// A connection in all its fields.
    pub(super) fn connect_as(
        &mut self,
        pid: u32,
        protocol: Protocol,
        remote: Endpoint,
        outcome: Outcome,
    ) {
        let connect = Connect {
            protocol,
            local: None,
            remote,
            outcome,
            cookie: 0,
            comm: "x".into(),
            fd: 3,
            via: None,
        };
        self.fact(pid, Kind::Connect(Box::new(connect)));
    }

    /// A TCP connection is made.
    pub(super) fn connect(&mut self, pid: u32, to: &str) {
        let to = Endpoint::Inet(to.parse().unwrap());
        self.connect_as(pid, Protocol::Tcp, to, Outcome::Established);
    }

    /// A connection to a socket in the file system is made.
    pub(super) fn connect_unix(&mut self, pid: u32, path: &str) {
        let to = Endpoint::Unix(path.into());
        self.connect_as(pid, Protocol::Unix, to, Outcome::Established);
    }

    /// A TCP connection fails.
    pub(super) fn connect_failed(&mut self, pid: u32, to: &str, errno: u16) {
        let to = Endpoint::Inet(to.parse().unwrap());
        self.connect_as(pid, Protocol::Tcp, to, Outcome::Failed(errno));
    }

    /// A TCP socket listens.
    pub(super) fn listen(&mut self, pid: u32, on: &str) {
        let listen = Listen {
            protocol: Protocol::Tcp,
            local: on.parse().unwrap(),
            comm: "x".into(),
            via: None,
        };
        self.fact(pid, Kind::Listen(listen));
    }

    /// A connection is accepted.
    pub(super) fn accept(&mut self, pid: u32, local: &str, remote: &str) {
        let accept = Accept {
            protocol: Protocol::Tcp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            cookie: 0,
            comm: "x".into(),
            via: None,
        };
        self.fact(pid, Kind::Accept(Box::new(accept)));
    }

    /// A name is answered.
    pub(super) fn dns(&mut self, name: &str, qtype: &str, addresses: &[&str]) {
        let dns = Dns {
            name: name.into(),
            qtype: qtype.into(),
            rcode: 0,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            cut: false,
            server: None,
        };
        self.emit(0, 0, Kind::Dns(Box::new(dns)));
    }

    /// A privileged call.
    pub(super) fn privilege(&mut self, pid: u32, call: &str, detail: &str, errno: u16) {
        self.privilege_as(pid, call, |p| {
            p.detail = detail.into();
            p.errno = errno;
        });
    }

    /// A privileged call in all its fields.
    pub(super) fn privilege_as(
        &mut self,
        pid: u32,
        call: &str,
        change: impl FnOnce(&mut Privilege),
    ) {
        let mut privilege = Privilege {
            call: call.to_owned(),
            comm: "x".into(),
            args: vec![0; 4],
            ..Privilege::default()
        };
        change(&mut privilege);
        self.fact(pid, Kind::Privilege(Box::new(privilege)));
    }

    /// First use of a capability.
    pub(super) fn capability(&mut self, pid: u32, name: &str, granted: bool) {
        let capability = Capability {
            name: name.to_owned(),
            granted,
            comm: "x".into(),
        };
        self.fact(pid, Kind::Capability(capability));
    }
}
