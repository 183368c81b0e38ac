// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Sends questions to a nameserver to the agent's DNS stub on a loopback port, and lets the answers look as if the
//! nameserver had sent them.
//!
//! There is one stub endpoint for each nameserver, so that no state of a socket is needed on the way back: what comes
//! from the endpoint is shown as from its nameserver. UDP and TCP have the same port.
//!
//! It fails open: without an endpoint for the nameserver, with a heartbeat that is too old, or from a socket that is
//! bound to a device, a question goes where it was sent. The links end with the agent; a socket that is connected to
//! an endpoint that is gone gets ECONNREFUSED, and the next one goes direct.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    macros::{cgroup_sock_addr, map},
    maps::HashMap,
    programs::SockAddrContext,
};
use gomod_ebpf_common::{DNS_PORT, Endpoint, Flow, NameServer, STUB};

use crate::{flow, heartbeat, sock_addr};

/// The stub's endpoint for each nameserver. Empty while DNS is only watched.
#[map]
static STUBS: HashMap<NameServer, Endpoint> = HashMap::with_max_entries(1_024, 0);

/// The nameserver behind each endpoint of the stub.
#[map]
static NAME_SERVERS: HashMap<Endpoint, NameServer> = HashMap::with_max_entries(4_096, 0);

/// Verdict of a cgroup program: go on.
const ALLOW: i32 = 1;

/// Redirects an IPv4 `connect` to a nameserver. True if it did.
#[inline(always)]
pub fn connect4(ctx: &SockAddrContext, remote: &Endpoint) -> bool {
    let stub = stub(ctx, remote);
    if let Some(stub) = stub {
        sock_addr::set_v4(ctx, &stub);
    }
    stub.is_some()
}

/// Redirects an IPv6 `connect` to a nameserver. A v4-mapped one has its endpoint at `::ffff:127.0.0.1`: a socket that
/// is IPv6-only could not reach the nameserver either.
#[inline(always)]
pub fn connect6(ctx: &SockAddrContext, remote: &Endpoint) -> bool {
    let stub = stub(ctx, remote);
    if let Some(stub) = stub {
        sock_addr::set_v6(ctx, &stub);
    }
    stub.is_some()
}

/// Redirects datagrams of sockets that name an IPv4 destination with each; also v4-mapped ones of IPv6 sockets.
///
/// cgroup/sendmsg4, kernel 4.18, CAP_BPF + CAP_NET_ADMIN. Without it, DNS is left alone.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    connect4(&ctx, &sock_addr::get_v4(&ctx));
    ALLOW
}

/// Redirects datagrams of sockets that name an IPv6 destination with each.
///
/// cgroup/sendmsg6, as [`sendmsg4`].
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    connect6(&ctx, &sock_addr::get_v6(&ctx));
    ALLOW
}

/// Shows IPv4 sockets the nameserver as the sender of the stub's datagrams: resolvers drop answers from elsewhere.
///
/// cgroup/recvmsg4, kernel 5.2, CAP_BPF + CAP_NET_ADMIN. Without it, DNS is left alone.
#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    restore4(&ctx, &sock_addr::get_v4(&ctx));
    ALLOW
}

/// The same for IPv6 sockets, which see IPv4 nameservers as v4-mapped.
///
/// cgroup/recvmsg6, as [`recvmsg4`].
#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    restore6(&ctx, &sock_addr::get_v6(&ctx));
    ALLOW
}

/// Puts the nameserver in the place of an IPv4 endpoint of the stub.
#[inline(always)]
pub fn restore4(ctx: &SockAddrContext, remote: &Endpoint) {
    if let Some(server) = server_here(ctx, remote) {
        sock_addr::set_v4(ctx, &server);
    }
}

/// Puts the nameserver in the place of an endpoint of the stub.
#[inline(always)]
pub fn restore6(ctx: &SockAddrContext, remote: &Endpoint) {
    if let Some(server) = server_here(ctx, remote) {
        sock_addr::set_v6(ctx, &server);
    }
}

/// The nameserver that a packet of this socket really is to or from, if its other end is an endpoint of the stub.
#[inline(always)]
pub fn server_of_packet(flow: &Flow, remote: &Endpoint) -> Option<&'static NameServer> {
    if flow.flags & Flow::ASKS_STUB == 0 {
        return None;
    }
    // SAFETY: map values stay readable while the program runs; this one is never changed, only added.
    NAME_SERVERS
        .get_ptr(remote)
        .map(|server| unsafe { &*server })
}

/// The stub's endpoint for a nameserver, if questions are to go there now.
#[inline(always)]
fn stub(ctx: &SockAddrContext, remote: &Endpoint) -> Option<Endpoint> {
    if remote.port != DNS_PORT {
        return None;
    }
    // SAFETY: the context is valid for these helpers.
    let (netns, cookie) = unsafe {
        (
            bpf_get_netns_cookie(ctx.as_ptr()),
            bpf_get_socket_cookie(ctx.as_ptr()),
        )
    };
    // SAFETY: the value is copied out at once.
    let stub = *unsafe { STUBS.get(NameServer::new(netns, *remote)) }?;
    if is_bound_to_device(ctx) || !heartbeat::is_fresh(STUB) {
        return None;
    }
    if let Some(flow) = flow::of(cookie) {
        flow.flags |= Flow::ASKS_STUB;
    }
    Some(stub)
}

/// Loopback is out of reach for a socket that is bound to another device.
#[inline(always)]
fn is_bound_to_device(ctx: &SockAddrContext) -> bool {
    // SAFETY: fields of the context; the verifier demands the check for null, and knows the socket's fields.
    unsafe {
        let sk = core::ptr::read_volatile(&raw const (*ctx.sock_addr).__bindgen_anon_1.sk);
        !sk.is_null() && core::ptr::read_volatile(&raw const (*sk).bound_dev_if) != 0
    }
}

/// The nameserver behind an endpoint of the stub in this socket's namespace.
#[inline(always)]
fn server_here(ctx: &SockAddrContext, remote: &Endpoint) -> Option<Endpoint> {
    // SAFETY: the value is copied out at once; the context is valid for the helper.
    let (server, netns) = unsafe {
        (
            *NAME_SERVERS.get(remote)?,
            bpf_get_netns_cookie(ctx.as_ptr()),
        )
    };
    (server.netns == netns).then_some(server.address)
}
