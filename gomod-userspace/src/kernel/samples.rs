// SPDX-License-Identifier: MIT OR Apache-2.0
//! The accounts of open connections, read a few times a second instead of one event a packet.

use std::collections::HashMap;

use aya::maps::{HashMap as BpfHashMap, MapData};
use gomod_ebpf_common::Flow;

use super::events::{
    Event, EventKind, MonotonicNanos, Pid, Protocol, SocketCookie, TcpState, Traffic,
};

pub(super) struct Samples {
    flows: BpfHashMap<MapData, u64, Flow>,
    open: HashMap<SocketCookie, Sampled>,
}

#[derive(Clone, Copy, Debug)]
struct Sampled {
    last: Flow,
    closed: Option<MonotonicNanos>,
    /// Looked at since it closed.
    settled: bool,
}

impl Sampled {
    /// An open connection is looked at each time, a closed one right after its close and when it is let go: after a
    /// burst of short connections there are far more of those.
    fn is_due(&self, now: MonotonicNanos) -> bool {
        !self.settled || self.has_lingered(now)
    }

    fn has_lingered(&self, now: MonotonicNanos) -> bool {
        self.closed
            .is_some_and(|closed| now.since(closed) >= LINGER)
    }
}

/// An account is kept this long after its connection closed: the last ACKs and FINs come after the close.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

impl Samples {
    pub(super) fn new(flows: BpfHashMap<MapData, u64, Flow>) -> Self {
        Self {
            flows,
            open: HashMap::new(),
        }
    }

    /// Notes connections that open and close.
    pub(super) fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Connect {
                cookie,
                protocol: Protocol::Tcp,
                ..
            } => {
                let fresh = Sampled {
                    last: Flow::default(),
                    closed: None,
                    settled: false,
                };
                self.open.insert(*cookie, fresh);
            }
            EventKind::State {
                cookie,
                new: TcpState::Close,
                ..
            } => {
                if let Some(sampled) = self.open.get_mut(cookie) {
                    sampled.closed = Some(event.at);
                }
            }
            _ => {}
        }
    }

    /// Reports the connections whose totals have changed.
    pub(super) fn sample(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        let mut removed = Vec::new();
        self.open.retain(|cookie, sampled| {
            if sampled.is_due(now) {
                if let Ok(flow) = self.flows.get(&cookie.0, 0)
                    && flow != sampled.last
                {
                    sampled.last = flow;
                    events.push(Event {
                        at: now,
                        pid: Pid(flow.pid),
                        kind: EventKind::Traffic(traffic(*cookie, &flow)),
                    });
                }
                sampled.settled = sampled.closed.is_some();
            }
            let keep = !sampled.has_lingered(now);
            if !keep {
                removed.push(*cookie);
            }
            keep
        });
        for cookie in removed {
            // Already evicted at worst.
            let _ = self.flows.remove(&cookie.0);
        }
    }
}

fn traffic(cookie: SocketCookie, flow: &Flow) -> Traffic {
    let time = |ns: u64| (ns != 0).then_some(MonotonicNanos(ns));
    Traffic {
        cookie,
        bytes_out: flow.bytes_out,
        bytes_in: flow.bytes_in,
        last_out: time(flow.last_out_ns),
        last_in: time(flow.last_in_ns),
        request: time(flow.request_ns),
        bytes_in_at_request: flow.bytes_in_at_request,
        response: time(flow.response_ns),
        requests: flow.requests,
        last_in_len: flow.last_in_len,
        bytes_acked: acked(flow),
    }
}

/// Payload that the peer has acknowledged. Its FIN and a forged number are no payload.
fn acked(flow: &Flow) -> u64 {
    const BOTH: u32 = Flow::SAW_SYN | Flow::SAW_SYN_ACK;
    if flow.flags & BOTH != BOTH {
        return 0;
    }
    let behind_syn = flow.initial_seq_out.wrapping_add(1);
    u64::from(flow.acked_seq_out.wrapping_sub(behind_syn)).min(flow.bytes_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_counts_from_behind_the_syn() {
        let mut flow = Flow {
            initial_seq_out: u32::MAX,
            acked_seq_out: 1538,
            bytes_out: 2000,
            flags: Flow::SAW_SYN,
            ..Flow::default()
        };
        assert_eq!(
            acked(&flow),
            0,
            "without a SYN-ACK there is nothing to go by"
        );
        flow.flags |= Flow::SAW_SYN_ACK;
        assert_eq!(acked(&flow), 1538);
        flow.acked_seq_out = 5000;
        assert_eq!(acked(&flow), 2000);
    }

    #[test]
    fn a_closed_connection_is_looked_at_once_and_once_more_when_it_is_let_go() {
        let closed = MonotonicNanos(1_000);
        let mut sampled = Sampled {
            last: Flow::default(),
            closed: Some(closed),
            settled: false,
        };
        assert!(sampled.is_due(closed));
        sampled.settled = true;
        assert!(!sampled.is_due(MonotonicNanos(2_000)));
        let end = MonotonicNanos(closed.0 + LINGER.as_nanos() as u64);
        assert!(sampled.is_due(end) && sampled.has_lingered(end));
    }

    #[test]
    fn an_open_connection_is_always_due() {
        let sampled = Sampled {
            last: Flow::default(),
            closed: None,
            settled: false,
        };
        assert!(sampled.is_due(MonotonicNanos(u64::MAX)));
    }
}
