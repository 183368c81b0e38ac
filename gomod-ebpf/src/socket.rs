// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Sockets of the run: their owner at creation, where they connect to, and what `connect` said at once.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated::bpf_get_socket_cookie},
    macros::{cgroup_sock, cgroup_sock_addr, map, tracepoint},
    maps::LruHashMap,
    programs::{SockAddrContext, SockContext, TracePointContext},
};
use aya_log_ebpf::debug;
use gomod_ebpf_common::{
    ConnectRecord, ConnectResultRecord, DNS_PORT, Endpoint, Flow, Origin, RecordKind,
};

use crate::{
    flow, names, redirect,
    ring::{self, Wake},
    scope, sock_addr, syscall,
};

/// `IPPROTO_TCP`.
pub const TCP: u32 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u32 = 17;

/// Verdict of a cgroup program: go on.
const ALLOW: i32 = 1;

/// The cookie of the socket that a thread is connecting, until `connect` returns.
#[map]
static CONNECTING: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4_096, 0);

/// Opens the account of a new socket and notes its owner. The current process is the owner only here:
/// packets are often handled in the context of some other process.
///
/// cgroup/sock_create, kernel 5.9 for the cookie, CAP_BPF + CAP_NET_ADMIN. Without it, nothing of the network
/// is seen.
#[cgroup_sock(sock_create)]
pub fn sock_create(ctx: SockContext) -> i32 {
    // SAFETY: the context is valid for this helper; the times and ids come from plain helpers.
    let (cookie, now) = unsafe { (bpf_get_socket_cookie(ctx.as_ptr()), bpf_ktime_get_ns()) };
    flow::open(
        cookie,
        &Flow {
            created_ns: now,
            pid: scope::current_pid(),
            ..Flow::default()
        },
    );
    ALLOW
}

/// Reports where an IPv4 socket connects to.
///
/// cgroup/connect4, kernel 4.17, CAP_BPF + CAP_NET_ADMIN. Without it, connections are seen from their first
/// packet on, and those that never send one are not seen.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let remote = sock_addr::get_v4(&ctx);
    let origin = report_connect(&ctx, remote);
    if !names::connect4(&ctx, &remote)
        && let Some(origin) = origin
    {
        redirect::connect4(&ctx, origin);
    }
    ALLOW
}

/// Reports where an IPv6 socket connects to.
///
/// cgroup/connect6, as [`connect4`].
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let remote = sock_addr::get_v6(&ctx);
    let origin = report_connect(&ctx, remote);
    if !names::connect6(&ctx, &remote)
        && let Some(origin) = origin
    {
        redirect::connect6(&ctx, origin);
    }
    ALLOW
}

/// Returns what the redirecting programs need to know of a TCP socket.
#[inline(always)]
fn report_connect(ctx: &SockAddrContext, remote: Endpoint) -> Option<Origin> {
    // SAFETY: fields of the context; the helper takes the context.
    let (protocol, cookie) = unsafe {
        (
            (*ctx.sock_addr).protocol,
            bpf_get_socket_cookie(ctx.as_ptr()),
        )
    };
    if protocol == TCP {
        let _ = CONNECTING.insert(bpf_get_current_pid_tgid(), cookie, 0);
    } else if protocol != UDP || remote.port != DNS_PORT {
        return None;
    }
    let pid = flow::of(cookie).map_or_else(scope::current_pid, |flow| flow.pid);
    ring::send(
        ConnectRecord {
            header: ring::header(RecordKind::Connect, pid),
            cookie,
            remote,
            protocol,
        },
        Wake::Later,
    );
    debug!(ctx, "connect pid {} port {}", pid, remote.port);
    (protocol == TCP).then_some(Origin {
        cookie,
        remote,
        pid,
    })
}

/// Reports a `connect` that failed before a packet left: no route, or forbidden on this machine.
///
/// Tracepoint (needs CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without it, such a failure looks as if
/// the process had given up.
#[tracepoint]
pub fn connect_exit(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_connect_exit(&ctx);
    }
    0
}

fn try_connect_exit(ctx: &TracePointContext) -> Option<()> {
    const EINPROGRESS: i64 = 115;
    const EINTR: i64 = 4;
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let cookie = *unsafe { CONNECTING.get(thread) }?;
    let _ = CONNECTING.remove(thread);
    let flow = flow::of(cookie)?;
    let errno = -syscall::result(ctx);
    if errno <= 0 || errno == EINPROGRESS || errno == EINTR || flow.flags & Flow::SAW_SYN != 0 {
        return None;
    }
    ring::send(
        ConnectResultRecord {
            header: ring::header(RecordKind::ConnectResult, flow.pid),
            cookie,
            errno: errno as u32,
            padding: 0,
        },
        Wake::Now,
    );
    Some(())
}
