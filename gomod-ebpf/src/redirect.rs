// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Sends the connections of `go` to the agent's listener, and nobody else's.
//!
//! `connect4` and `connect6` remember the destination under the socket's cookie and put the listener's address in its
//! place; the source port is not yet known there. [`note_near_end`] runs before the SYN leaves, when it is, and files
//! the destination under the near end of the connection, which is what the agent sees as the peer.
//!
//! It fails open: without a listener for the network namespace, with a heartbeat that is too old, or for a port that
//! isn't in the table, a connection goes where it wanted to go. The links end with the agent.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    macros::{cgroup_sock_addr, map},
    maps::{HashMap, LruHashMap},
    programs::{SockAddrContext, SockOpsContext},
};
use gomod_ebpf_common::{ACCELERATOR, Endpoint, Listeners, NearEnd, Origin};

use crate::{heartbeat, names, sock_addr};

/// The agent's listeners by the cookie of their network namespace. Empty while we only observe.
#[map]
static LISTENERS: HashMap<u64, Listeners> = HashMap::with_max_entries(1_024, 0);

/// Ports of module hosts and proxies. A process that needs another one is not redirected there.
#[map]
static PORTS: HashMap<u16, u8> = HashMap::with_max_entries(64, 0);

/// Processes that run the `go` command: marked at exec by its file name, corrected by the agent.
#[map]
static GO: LruHashMap<u32, u8> = LruHashMap::with_max_entries(16_384, 0);

/// Where redirected sockets wanted to go, by socket cookie.
#[map]
static ORIGINS: LruHashMap<u64, Origin> = LruHashMap::with_max_entries(32_768, 0);

/// The same by the near end of the connection, for the agent, which removes what it has taken.
#[map]
static NEAR_ENDS: LruHashMap<NearEnd, Origin> = LruHashMap::with_max_entries(32_768, 0);

const LOOPBACK_V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Verdict of a cgroup program: go on.
const ALLOW: i32 = 1;

/// Notes at exec whether a process runs a file named `go`.
#[inline(always)]
pub fn mark(pid: u32, is_go: bool) {
    if is_go {
        let _ = GO.insert(pid, 1, 0);
    } else {
        let _ = GO.remove(pid);
    }
}

/// Redirects an IPv4 `connect` if it is to be.
#[inline(always)]
pub fn connect4(ctx: &SockAddrContext, origin: Origin) {
    let Some(listeners) = listeners(ctx, &origin) else {
        return;
    };
    if listeners.v4 == 0 || ORIGINS.insert(origin.cookie, origin, 0).is_err() {
        return;
    }
    sock_addr::set_v4(ctx, &Endpoint::v4([127, 0, 0, 1], listeners.v4));
}

/// Redirects an IPv6 `connect` if it is to be. A v4-mapped destination goes to `::1` as well: the socket may be
/// IPv6-only.
#[inline(always)]
pub fn connect6(ctx: &SockAddrContext, origin: Origin) {
    let Some(listeners) = listeners(ctx, &origin) else {
        return;
    };
    if listeners.v6 == 0 || ORIGINS.insert(origin.cookie, origin, 0).is_err() {
        return;
    }
    sock_addr::set_v6(ctx, &Endpoint::v6(LOOPBACK_V6, listeners.v6));
}

/// The listeners to use for a connection, if it is to be redirected at all.
#[inline(always)]
fn listeners(ctx: &SockAddrContext, origin: &Origin) -> Option<Listeners> {
    // The socket may have been redirected before and now goes elsewhere.
    let _ = ORIGINS.remove(origin.cookie);
    // SAFETY: the context is valid for this helper.
    let netns = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    // SAFETY: the values are copied out at once.
    let listeners = *unsafe { LISTENERS.get(netns) }?;
    // SAFETY: as above.
    unsafe { GO.get(origin.pid) }?;
    // SAFETY: as above.
    unsafe { PORTS.get(origin.remote.port) }?;
    heartbeat::is_fresh(ACCELERATOR).then_some(listeners)
}

/// Files the destination of a redirected socket under its near end; called before the SYN leaves.
#[inline(always)]
pub fn note_near_end(ctx: &SockOpsContext, cookie: u64, local: Endpoint) {
    // SAFETY: the value is copied out at once.
    let Some(origin) = (unsafe { ORIGINS.get(cookie) }).copied() else {
        return;
    };
    // SAFETY: the context is valid for this helper.
    let netns = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    let near_end = NearEnd {
        netns,
        local,
        padding: 0,
    };
    let _ = NEAR_ENDS.insert(near_end, origin, 0);
}

/// Shows a redirected IPv4 socket the peer that it asked for, a nameserver included.
///
/// cgroup/getpeername4, kernel 5.8, `CAP_BPF` + `CAP_NET_ADMIN`. Without it, a process that asks sees the listener.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    let peer = sock_addr::get_v4(&ctx);
    if let Some((origin, listeners)) = shown(&ctx)
        && peer == Endpoint::v4([127, 0, 0, 1], listeners.v4)
    {
        sock_addr::set_v4(&ctx, &origin.remote);
    } else {
        names::restore4(&ctx, &peer);
    }
    ALLOW
}

/// Shows a redirected IPv6 socket the peer that it asked for, a nameserver included.
///
/// cgroup/getpeername6, as [`getpeername4`].
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    let peer = sock_addr::get_v6(&ctx);
    if let Some((origin, listeners)) = shown(&ctx)
        && peer == Endpoint::v6(LOOPBACK_V6, listeners.v6)
    {
        sock_addr::set_v6(&ctx, &origin.remote);
    } else {
        names::restore6(&ctx, &peer);
    }
    ALLOW
}

/// The origin of a socket that was redirected, and the listeners of its namespace.
#[inline(always)]
fn shown(ctx: &SockAddrContext) -> Option<(Origin, Listeners)> {
    // SAFETY: the context is valid for these helpers; the values are copied out at once.
    unsafe {
        let origin = *ORIGINS.get(bpf_get_socket_cookie(ctx.as_ptr()))?;
        let listeners = *LISTENERS.get(bpf_get_netns_cookie(ctx.as_ptr()))?;
        Some((origin, listeners))
    }
}
