// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! The kernel's own view of TCP: states, timers, round-trip times and errors.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RETRANS_CB, BPF_SOCK_OPS_RETRANS_CB_FLAG,
        BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
    },
    helpers::generated::bpf_get_socket_cookie,
    macros::{sock_ops, tracepoint},
    programs::{SockOpsContext, TracePointContext},
};
use gomod_ebpf_common::{
    Endpoint, RecordKind, SocketErrorRecord, StateRecord, TcpMoment, TcpRecord,
};

use crate::{
    flow, redirect,
    ring::{self, Wake},
    socket::{TCP, UDP},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const TCP_CLOSE: u32 = 7;

/// Reports establishment, timeouts, retransmissions, each later change of state and the final totals of a connection.
///
/// The state callback is used instead of the tracepoint `inet_sock_set_state`: that one names no cookie in its classic
/// form, and its BTF form would make the agent parse the whole kernel's BTF (25 MiB) for one type number.
///
/// sock_ops, kernel 4.16 for the callbacks, CAP_BPF + CAP_NET_ADMIN. Without it, round-trip times and
/// retransmissions are unknown, and connections given up before they are established seem to stay open.
#[sock_ops]
pub fn tcp_ops(ctx: SockOpsContext) -> u32 {
    let _ = try_tcp_ops(&ctx);
    1
}

fn try_tcp_ops(ctx: &SockOpsContext) -> Option<()> {
    let moment = match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            let flags = BPF_SOCK_OPS_RTO_CB_FLAG
                | BPF_SOCK_OPS_RETRANS_CB_FLAG
                | BPF_SOCK_OPS_STATE_CB_FLAG;
            let _ = ctx.set_cb_flags((ctx.cb_flags() | flags) as i32);
            // SAFETY: the context is valid for this helper.
            let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
            redirect::note_near_end(ctx, cookie, ends(ctx).0);
            return None;
        }
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => TcpMoment::Established,
        BPF_SOCK_OPS_RTO_CB => TcpMoment::Timeout,
        BPF_SOCK_OPS_RETRANS_CB => TcpMoment::Retransmit,
        BPF_SOCK_OPS_STATE_CB => {
            report_state(ctx);
            if ctx.arg(1) != TCP_CLOSE {
                return None;
            }
            TcpMoment::Closed
        }
        _ => {
            // A question (initial timeout, window, …): -1 means that the kernel decides.
            ctx.set_reply(u32::MAX);
            return None;
        }
    };
    // SAFETY: the context is valid for this helper.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let flow = flow::of(cookie)?;
    let (local, remote) = ends(ctx);
    // SAFETY: fields of the context, which the verifier maps to the real structure.
    let record = unsafe {
        let ops = &*ctx.ops;
        TcpRecord {
            header: ring::header(RecordKind::Tcp, flow.pid),
            cookie,
            bytes_acked: ops.bytes_acked,
            bytes_received: ops.bytes_received,
            moment: moment as u32,
            srtt_us: ops.srtt_us >> 3,
            total_retrans: ops.total_retrans,
            state: ops.state,
            local,
            remote,
        }
    };
    ring::send(record, Wake::Later);
    Some(())
}

/// Our end and the peer's.
#[inline(always)]
fn ends(ctx: &SockOpsContext) -> (Endpoint, Endpoint) {
    // SAFETY: fields of the context, which the verifier maps to the real structure.
    unsafe {
        let remote_port = u32::from_be((*ctx.ops).remote_port) as u16;
        let local_port = (*ctx.ops).local_port as u16;
        if (*ctx.ops).family == u32::from(AF_INET) {
            (
                Endpoint::v4((*ctx.ops).local_ip4.to_ne_bytes(), local_port),
                Endpoint::v4((*ctx.ops).remote_ip4.to_ne_bytes(), remote_port),
            )
        } else {
            (
                Endpoint::v6(address6(&raw const (*ctx.ops).local_ip6), local_port),
                Endpoint::v6(address6(&raw const (*ctx.ops).remote_ip6), remote_port),
            )
        }
    }
}

#[inline(always)]
fn report_state(ctx: &SockOpsContext) {
    // SAFETY: the context is valid for this helper.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    if let Some(flow) = flow::of(cookie) {
        ring::send(
            StateRecord {
                header: ring::header(RecordKind::State, flow.pid),
                cookie,
                old: ctx.arg(0),
                new: ctx.arg(1),
            },
            Wake::Later,
        );
    }
}

/// An IPv6 address of the context, read word by word as the verifier demands.
#[inline(always)]
unsafe fn address6(words: *const [u32; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    let words = words.cast::<u32>();
    // SAFETY: the caller passes a field of the context.
    unsafe {
        address[0..4].copy_from_slice(&core::ptr::read_volatile(words).to_ne_bytes());
        address[4..8].copy_from_slice(&core::ptr::read_volatile(words.add(1)).to_ne_bytes());
        address[8..12].copy_from_slice(&core::ptr::read_volatile(words.add(2)).to_ne_bytes());
        address[12..16].copy_from_slice(&core::ptr::read_volatile(words.add(3)).to_ne_bytes());
    }
    address
}

/// Reports the errno that the kernel puts on a socket. The tracepoint gives addresses but no socket, so it
/// covers every socket of the machine; the agent keeps those it knows, and is not woken for each.
///
/// Tracepoint, kernel 5.15, CAP_PERFMON. Without it, the errno of failed connections is unknown.
#[tracepoint]
pub fn socket_error(ctx: TracePointContext) -> u32 {
    let _ = try_socket_error(&ctx);
    0
}

fn try_socket_error(ctx: &TracePointContext) -> Option<()> {
    // Offsets in the record of sock:inet_sk_error_report, whose format the agent has checked.
    const ERROR: usize = 8;
    const SOURCE_PORT: usize = 12;
    const DESTINATION_PORT: usize = 14;
    const FAMILY: usize = 16;
    const PROTOCOL: usize = 18;
    const ADDRESSES_V4: usize = 20;
    const ADDRESSES_V6: usize = 28;
    // SAFETY: all reads lie within the record.
    let (errno, source_port, destination_port, family, protocol) = unsafe {
        (
            ctx.read_at::<i32>(ERROR).ok()?,
            ctx.read_at::<u16>(SOURCE_PORT).ok()?,
            ctx.read_at::<u16>(DESTINATION_PORT).ok()?,
            ctx.read_at::<u16>(FAMILY).ok()?,
            ctx.read_at::<u16>(PROTOCOL).ok()?,
        )
    };
    let protocol = u32::from(protocol);
    if protocol != TCP && protocol != UDP {
        return None;
    }
    let (local, remote) = if family == AF_INET {
        // SAFETY: as above; source and destination follow each other.
        let [a, b, c, d, e, f, g, h] = unsafe { ctx.read_at::<[u8; 8]>(ADDRESSES_V4) }.ok()?;
        (
            Endpoint::v4([a, b, c, d], source_port),
            Endpoint::v4([e, f, g, h], destination_port),
        )
    } else if family == AF_INET6 {
        // SAFETY: as above.
        let (source, destination) = unsafe {
            (
                ctx.read_at::<[u8; 16]>(ADDRESSES_V6).ok()?,
                ctx.read_at::<[u8; 16]>(ADDRESSES_V6 + 16).ok()?,
            )
        };
        (
            Endpoint::v6(source, source_port),
            Endpoint::v6(destination, destination_port),
        )
    } else {
        return None;
    };
    ring::send(
        SocketErrorRecord {
            header: ring::header(RecordKind::SocketError, 0),
            errno: errno.unsigned_abs(),
            protocol,
            local,
            remote,
        },
        Wake::Later,
    );
    Some(())
}
