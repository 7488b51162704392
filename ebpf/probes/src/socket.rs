//! The programs that watch sockets and packets: check the container, decode by [`net`] and [`dns`],
//! send.

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns,
    macros::{btf_tracepoint, cgroup_skb, cgroup_sock_addr},
    programs::{BtfTracePointContext, SkBuffContext, SockAddrContext},
};
use hullwatch_abi::{
    dns::{DnsRecord, MESSAGE_MAX},
    header::{Header, RUNTIME, kind},
    net::NetRecord,
};

use crate::{
    call, datagram, dns, emit, gate, marks, net,
    socket_facts::{self, EventProcess},
};

/// The result of every cgroup hook: everything is allowed.
const PASS: i32 = 1;

/// The current process, if its events are recorded.
#[inline(always)]
pub fn watched_process() -> Option<EventProcess> {
    let cgroup = marks::scope();
    if !gate::wanted(cgroup) {
        return None;
    }
    let header = emit::current(kind::NET, 0);
    if header.flags & RUNTIME != 0 {
        // Connections of the runtime's set-up are not the container's.
        return None;
    }
    Some(EventProcess {
        cgroup,
        pid: header.pid,
        nspid: header.nspid,
    })
}

/// A header for a process that need not be the current one.
#[inline(always)]
fn header(kind: u16, process: EventProcess, len: usize) -> Header {
    Header {
        // SAFETY: no arguments.
        ts: unsafe { bpf_ktime_get_boot_ns() },
        cgroup: process.cgroup,
        pid: process.pid,
        nspid: process.nspid,
        ppid: 0,
        flags: 0,
        kind,
        reserved: 0,
        len: len as u32,
    }
}

#[inline(always)]
pub fn send(out: socket_facts::Out) {
    let body = size_of::<NetRecord>() + emit::masked::<127>(out.name);
    // SAFETY: the head has space for the header right before the record.
    unsafe {
        let data = (&raw mut (*out.scratch).head)
            .cast::<u8>()
            .add(socket_facts::HEADROOM - size_of::<Header>());
        emit::send(
            data,
            header(kind::NET, out.process, body),
            size_of::<Header>() + body,
        );
    }
}

/// Class 3: socket calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn net_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = call::finished(&ctx)
        && let Some(out) = net::exit(call, watched_process)
    {
        send(out);
    }
    0
}

/// A TCP socket changed state.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn net_state(ctx: BtfTracePointContext) -> i32 {
    if let Some(out) = net::state(&ctx, watched_process) {
        send(out);
    }
    0
}

#[inline(always)]
fn datagram(ctx: &SockAddrContext, six: bool) -> i32 {
    if let Some(process) = watched_process() {
        if dns::is_query(ctx.sock_addr) {
            dns::note_query(ctx.sock_addr, process);
        }
        if let Some(out) = datagram::send(ctx.sock_addr, six, process) {
            send(out);
        }
    }
    PASS
}

#[inline(always)]
fn connecting(ctx: &SockAddrContext) -> i32 {
    if dns::is_query(ctx.sock_addr)
        && let Some(process) = watched_process()
    {
        dns::note_query(ctx.sock_addr, process);
    }
    PASS
}

/// A datagram is sent to an explicit IPv4 address.
#[cgroup_sock_addr(sendmsg4)]
pub fn net_send4(ctx: SockAddrContext) -> i32 {
    datagram(&ctx, false)
}

/// A datagram is sent to an explicit IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn net_send6(ctx: SockAddrContext) -> i32 {
    datagram(&ctx, true)
}

/// A socket is about to connect over IPv4.
#[cgroup_sock_addr(connect4)]
pub fn dns_connect4(ctx: SockAddrContext) -> i32 {
    connecting(&ctx)
}

/// A socket is about to connect over IPv6.
#[cgroup_sock_addr(connect6)]
pub fn dns_connect6(ctx: SockAddrContext) -> i32 {
    connecting(&ctx)
}

/// A packet is delivered to a socket.
#[cgroup_skb(ingress)]
pub fn dns_ingress(ctx: SkBuffContext) -> i32 {
    if let Some(out) = dns::ingress(&ctx, gate::receives) {
        let body = size_of::<DnsRecord>() + (out.len & (2 * MESSAGE_MAX - 1));
        // SAFETY: the head has space for the header right before the record.
        unsafe {
            let data = (&raw mut (*out.scratch).head)
                .cast::<u8>()
                .add(dns::HEADROOM - size_of::<Header>());
            emit::send(
                data,
                header(kind::DNS, out.process, body),
                size_of::<Header>() + size_of::<DnsRecord>() + (out.len & (2 * MESSAGE_MAX - 1)),
            );
        }
    }
    PASS
}
