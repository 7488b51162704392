//! Processes and sockets that existed before watching began, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use procfs::net::{TcpState, UdpState};

use super::cgroup_directory::CgroupDirectory;
use super::cgroup_name::recognise;
use super::file_facts::facts;
use super::mapped_code;
use super::overlay;
use super::pid_namespace;
use super::proc_files::{has_terminal, pids, read_stat, since_boot, split_argv, status_field};
use crate::event::{Bytes, ContainerId, Process, Protocol, Socket, Storage, Stream, Timestamp};
use crate::system::{boot_time, now};

/// Maximum number of descriptors examined per process when sockets are matched to processes: the
/// sockets of a process with more are attributed to its container without a pid.
const MAX_FDS: usize = 4096;

/// A process found running.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundProcess {
    /// Its container; `None` on the host.
    pub container: Option<ContainerId>,
    /// Host pid.
    pub pid: u32,
    /// Pid in its own namespace.
    pub nspid: u32,
    /// Its facts.
    pub process: Process,
}

/// A socket found open.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSocket {
    /// Its container; `None` on the host.
    pub container: Option<ContainerId>,
    /// Host pid of a process that holds it; 0 when none was found.
    pub pid: u32,
    /// Its inode, by which descriptors name it.
    pub inode: u64,
    /// Its facts.
    pub socket: Socket,
}

/// Every process in a container, and with `host` every other one too, by pid. Kernel threads
/// and processes that end while they are read are left out.
#[must_use]
pub fn processes(host: bool, membership: &Membership<'_>) -> Vec<FoundProcess> {
    let boot = boot_time();
    let tick = procfs::ticks_per_second().max(1);
    let mut layers = BTreeMap::new();
    pids()
        .into_iter()
        .filter_map(|pid| {
            let container = membership.of(pid);
            if container.is_none() && !host {
                return None;
            }
            let (nspid, mut process) = read_process(pid, boot, tick, &container, &mut layers)?;
            process.entered = membership.entered.contains_key(&pid);
            Some(FoundProcess {
                container,
                pid,
                nspid,
                process,
            })
        })
        .collect()
}

/// Adds the targets of the standard streams to processes of containers; `sockets` has the peers.
pub fn add_streams(processes: &mut [FoundProcess], sockets: &[FoundSocket]) {
    let peers = sockets
        .iter()
        .filter_map(|found| Some((found.inode, found.socket.remote?)))
        .collect();
    for found in processes.iter_mut().filter(|p| p.container.is_some()) {
        found.process.streams = streams(found.pid, &peers);
    }
}

/// The container of a process, by the cgroups and namespaces known at one moment.
#[derive(Debug)]
pub struct Membership<'a> {
    by_path: BTreeMap<&'a str, &'a ContainerId>,
    by_namespace: BTreeMap<u64, &'a ContainerId>,
    /// Processes that entered from the host.
    entered: BTreeMap<u32, &'a ContainerId>,
}

impl<'a> Membership<'a> {
    /// By the cgroups of this directory.
    #[must_use]
    pub fn new(directory: &'a CgroupDirectory) -> Self {
        Self {
            by_path: directory.by_path(),
            by_namespace: directory.by_namespace(),
            entered: BTreeMap::new(),
        }
    }

    /// This process entered a container from the host.
    pub fn entered(&mut self, pid: u32, id: &'a ContainerId) {
        self.entered.insert(pid, id);
    }

    /// The container of a process, from `/proc/PID/cgroup`: version 2 first, then any other; where
    /// none identifies it, by its pid namespace.
    #[must_use]
    pub fn of(&self, pid: u32) -> Option<ContainerId> {
        if let Some(id) = self.entered.get(&pid) {
            return Some((*id).clone());
        }
        self.by_cgroup(pid).or_else(|| {
            if self.by_namespace.is_empty() {
                return None;
            }
            let namespace = pid_namespace::namespace_of(pid)?;
            self.by_namespace.get(&namespace).map(|id| (*id).clone())
        })
    }

    /// The container that a process's cgroup identifies.
    #[must_use]
    pub fn by_cgroup(&self, pid: u32) -> Option<ContainerId> {
        self.in_table(&fs::read(format!("/proc/{pid}/cgroup")).ok()?)
    }

    fn in_table(&self, table: &[u8]) -> Option<ContainerId> {
        let mut lines: Vec<&[u8]> = table.split(|b| *b == b'\n').collect();
        lines.sort_by_key(|l| !l.starts_with(b"0::"));
        lines.into_iter().find_map(|line| {
            let path = line.splitn(3, |b| *b == b':').nth(2)?;
            let known = std::str::from_utf8(path)
                .ok()
                .and_then(|path| self.by_path.get(path));
            known
                .map(|id| (*id).clone())
                .or_else(|| recognise(path).map(|(_, id)| id))
        })
    }
}

type StorageByContainer = BTreeMap<ContainerId, Option<Storage>>;

fn read_process(
    pid: u32,
    boot: Timestamp,
    tick: u64,
    container: &Option<ContainerId>,
    layers: &mut StorageByContainer,
) -> Option<(u32, Process)> {
    let at = |name: &str| format!("/proc/{pid}/{name}");
    let stat = fs::read(at("stat")).ok()?;
    let (ppid, start) = read_stat(&stat)?;
    // Kernel threads have no executable; a zombie has none left.
    let exe = fs::read_link(at("exe")).ok()?;
    let status = fs::read(at("status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let uid = status_field(&status, "Uid")
        .and_then(|l| l.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let nspid = status_field(&status, "NSpid")
        .and_then(|l| l.split_ascii_whitespace().last()?.parse().ok())
        .unwrap_or(pid);
    let comm = fs::read(at("comm")).unwrap_or_default();
    let cmdline = fs::read(at("cmdline")).unwrap_or_default();
    let storage = container.as_ref().and_then(|id| {
        layers
            .entry(id.clone())
            .or_insert_with(|| overlay::of_process(pid))
            .as_ref()
    });
    let (exe, file) = facts(Path::new(&at("exe")), exe.as_os_str().as_bytes(), storage);
    let cwd = fs::read_link(at("cwd")).unwrap_or_default();
    let mut process = Process {
        ppid,
        uid,
        comm: comm.strip_suffix(b"\n").unwrap_or(&comm).into(),
        exe: exe.into(),
        argv: split_argv(&cmdline),
        cwd: cwd.as_os_str().as_bytes().into(),
        started: since_boot(boot, start, tick),
        replaced: file.unlinked && !file.memfd && lies_at(pid, exe),
        file,
        tty: has_terminal(&stat),
        streams: Vec::new(),
        mapped: Vec::new(),
        mapped_more: 0,
        entered: false,
    };
    if container.is_some() {
        mapped_code::add(pid, &mut process, storage);
    }
    Some((nspid, process))
}

/// Whether the path exists, as the process sees it.
fn lies_at(pid: u32, path: &[u8]) -> bool {
    let inside = path.strip_prefix(b"/").unwrap_or(path);
    let root = Path::new("/proc").join(pid.to_string()).join("root");
    root.join(OsStr::from_bytes(inside))
        .symlink_metadata()
        .is_ok()
}

/// The targets of descriptors 0, 1 and 2 of a process; empty when they cannot be read.
fn streams(pid: u32, peers: &BTreeMap<u64, SocketAddr>) -> Vec<Stream> {
    let directory = Path::new("/proc").join(pid.to_string()).join("fd");
    if directory.read_dir().is_err() {
        return Vec::new();
    }
    ["0", "1", "2"]
        .iter()
        .map(|fd| stream(&directory.join(fd), peers))
        .collect()
}

fn stream(descriptor: &Path, peers: &BTreeMap<u64, SocketAddr>) -> Stream {
    let Ok(leads_to) = fs::read_link(descriptor) else {
        return Stream::Closed;
    };
    let leads_to = leads_to.as_os_str().as_bytes();
    if let Some(inode) = socket_inode(leads_to) {
        return peers
            .get(&inode)
            .map_or(Stream::Socket, |peer| Stream::Peer(*peer));
    }
    if leads_to.starts_with(b"/dev/pts/") || leads_to.starts_with(b"/dev/tty") {
        return Stream::Terminal;
    }
    match fs::metadata(descriptor) {
        Ok(meta) if meta.file_type().is_fifo() => Stream::Pipe(meta.ino()),
        _ => Stream::Other,
    }
}

/// The inode of a socket, from the target of a descriptor.
fn socket_inode(leads_to: &[u8]) -> Option<u64> {
    let number = leads_to.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Open TCP and UDP sockets of containers, and with `host` those of the host: once per network
/// namespace, matched to processes by their descriptors.
#[must_use]
pub fn sockets(host: bool, membership: &Membership<'_>) -> Vec<FoundSocket> {
    let own = netns("self");
    let mut spaces: BTreeMap<u64, Vec<(u32, Option<ContainerId>)>> = BTreeMap::new();
    for pid in pids() {
        let container = membership.of(pid);
        if (container.is_some() || host)
            && let Some(ns) = netns(&pid.to_string())
        {
            spaces.entry(ns).or_default().push((pid, container));
        }
    }
    let seen = now();
    let mut out = Vec::new();
    for (ns, members) in spaces {
        let holders = holders(&members);
        // In a namespace shared with the host, a socket without a known process is the host's.
        let rest = if Some(ns) == own {
            None
        } else {
            members.iter().find_map(|(_, c)| c.clone())
        };
        let entries = members.iter().find_map(|(pid, _)| read_table(*pid));
        let entries = entries.unwrap_or_default();
        let listening: BTreeSet<(Protocol, u16)> = entries
            .iter()
            .filter(|e| e.remote.is_none())
            .map(|e| (e.protocol, e.local.port()))
            .collect();
        for e in entries {
            let (pid, container) = match holders.get(&e.inode) {
                Some((pid, container)) => (*pid, container.clone()),
                None if rest.is_some() => (0, rest.clone()),
                None if host => (0, None),
                None => continue,
            };
            let inbound = e.remote.is_some() && listening.contains(&(e.protocol, e.local.port()));
            out.push(FoundSocket {
                container,
                pid,
                inode: e.inode,
                socket: Socket {
                    protocol: e.protocol,
                    local: e.local,
                    remote: e.remote,
                    inbound,
                    seen,
                    comm: comm(pid),
                },
            });
        }
    }
    out
}

fn comm(pid: u32) -> Bytes {
    if pid == 0 {
        return Bytes::default();
    }
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    comm.strip_suffix(b"\n").unwrap_or(&comm).into()
}

fn netns(pid: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net"))
        .ok()
        .map(|m| m.ino())
}

/// Socket inode → the process with the lowest pid that holds it.
fn holders(members: &[(u32, Option<ContainerId>)]) -> BTreeMap<u64, (u32, Option<ContainerId>)> {
    let mut out = BTreeMap::new();
    for (pid, container) in members {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"));
        for fd in fds.into_iter().flatten().flatten().take(MAX_FDS) {
            let leads_to = fs::read_link(fd.path()).ok();
            let inode = leads_to.and_then(|to| socket_inode(to.as_os_str().as_bytes()));
            if let Some(inode) = inode {
                out.entry(inode)
                    .or_insert_with(|| (*pid, container.clone()));
            }
        }
    }
    out
}

struct SocketEntry {
    protocol: Protocol,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    inode: u64,
}

/// The socket tables of a process's network namespace; `None` when it has ended.
fn read_table(pid: u32) -> Option<Vec<SocketEntry>> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let mut out = Vec::new();
    let tcp = process.tcp().ok()?;
    // No table of version 6 where the kernel has it off.
    for e in tcp.into_iter().chain(process.tcp6().unwrap_or_default()) {
        let listen = e.state == TcpState::Listen;
        if listen
            || matches!(
                e.state,
                TcpState::Established | TcpState::SynSent | TcpState::CloseWait
            )
        {
            out.push(SocketEntry {
                protocol: Protocol::Tcp,
                local: canonical(e.local_address),
                remote: (!listen).then(|| canonical(e.remote_address)),
                inode: e.inode,
            });
        }
    }
    let udp = process.udp().unwrap_or_default();
    for e in udp.into_iter().chain(process.udp6().unwrap_or_default()) {
        out.push(SocketEntry {
            protocol: Protocol::Udp,
            local: canonical(e.local_address),
            remote: (e.state == UdpState::Established).then(|| canonical(e.remote_address)),
            inode: e.inode,
        });
    }
    Some(out)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_decides_the_container() {
        let a = "a".repeat(64);
        let b = "b".repeat(64);
        let none = CgroupDirectory::default();
        let of = |table: &str| {
            let id = Membership::new(&none).in_table(table.as_bytes());
            id.map(|id| id.as_str().to_owned())
        };
        let table = format!("4:memory:/docker/{b}\n0::/docker/{a}\n");
        assert_eq!(of(&table).unwrap(), a);
        let table = format!("4:memory:/docker/{b}\n0::/\n");
        assert_eq!(of(&table).unwrap(), b);
        assert_eq!(of("0::/user.slice\n"), None);
    }

    #[test]
    fn finds_this_process_and_its_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = std::process::id();
        let none = CgroupDirectory::default();
        let found = processes(true, &Membership::new(&none))
            .into_iter()
            .find(|p| p.pid == own)
            .unwrap();
        assert_eq!(
            &**found.process.exe,
            std::env::current_exe().unwrap().as_os_str().as_bytes()
        );
        assert!(found.process.file.ino != 0 && found.process.file.size > 0);
        assert!(found.process.started <= now());
        let socket = sockets(true, &Membership::new(&none))
            .into_iter()
            .find(|s| s.socket.local.port() == port && s.socket.remote.is_none());
        assert_eq!(socket.unwrap().pid, own);
    }
}
