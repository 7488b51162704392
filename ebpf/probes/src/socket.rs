//! The programs that watch sockets and packets: whose it is, then [`net`] and [`dns`], then off.

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
    socket_facts::{self, Who},
};

/// What every hook of a cgroup answers: nothing is ever held up.
const PASS: i32 = 1;

/// The current process, when its events are wanted.
#[inline(always)]
pub fn who() -> Option<Who> {
    let cgroup = marks::scope();
    if !gate::wanted(cgroup) {
        return None;
    }
    let header = emit::current(kind::NET, 0);
    if header.flags & RUNTIME != 0 {
        // The runtime's talk with its own parts is not the container's.
        return None;
    }
    Some(Who {
        cgroup,
        pid: header.pid,
        nspid: header.nspid,
    })
}

/// A header in the name of someone who need not be the current process.
#[inline(always)]
fn header(kind: u16, who: Who, len: usize) -> Header {
    Header {
        // SAFETY: no arguments.
        ts: unsafe { bpf_ktime_get_boot_ns() },
        cgroup: who.cgroup,
        pid: who.pid,
        nspid: who.nspid,
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
    // SAFETY: the head has room for the header right before the record.
    unsafe {
        let data = (&raw mut (*out.scratch).head)
            .cast::<u8>()
            .add(socket_facts::HEADROOM - size_of::<Header>());
        emit::send(
            data,
            header(kind::NET, out.who, body),
            size_of::<Header>() + body,
        );
    }
}

/// Class 3: socket calls.
#[btf_tracepoint(function = "sys_exit")]
pub fn net_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = call::finished(&ctx)
        && let Some(out) = net::exit(&call, who)
    {
        send(out);
    }
    0
}

/// A TCP socket changed its state.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn net_state(ctx: BtfTracePointContext) -> i32 {
    if let Some(out) = net::state(&ctx, who) {
        send(out);
    }
    0
}

#[inline(always)]
fn datagram(ctx: &SockAddrContext, six: bool) -> i32 {
    if let Some(who) = who() {
        if dns::is_query(ctx.sock_addr) {
            dns::asked(ctx.sock_addr, who);
        }
        if let Some(out) = datagram::send(ctx.sock_addr, six, who) {
            send(out);
        }
    }
    PASS
}

#[inline(always)]
fn connecting(ctx: &SockAddrContext) -> i32 {
    if dns::is_query(ctx.sock_addr)
        && let Some(who) = who()
    {
        dns::asked(ctx.sock_addr, who);
    }
    PASS
}

/// A datagram goes to a named IPv4 peer.
#[cgroup_sock_addr(sendmsg4)]
pub fn net_send4(ctx: SockAddrContext) -> i32 {
    datagram(&ctx, false)
}

/// A datagram goes to a named IPv6 peer.
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

/// A packet reaches a socket.
#[cgroup_skb(ingress)]
pub fn dns_ingress(ctx: SkBuffContext) -> i32 {
    if let Some(out) = dns::ingress(&ctx, gate::receives) {
        let body = size_of::<DnsRecord>() + (out.len & (2 * MESSAGE_MAX - 1));
        // SAFETY: the head has room for the header right before the record.
        unsafe {
            let data = (&raw mut (*out.scratch).head)
                .cast::<u8>()
                .add(dns::HEADROOM - size_of::<Header>());
            emit::send(
                data,
                header(kind::DNS, out.who, body),
                size_of::<Header>() + size_of::<DnsRecord>() + (out.len & (2 * MESSAGE_MAX - 1)),
            );
        }
    }
    PASS
}
