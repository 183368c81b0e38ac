// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long is too long. A limit is a base, which covers a busy server, plus a multiple of the round-trip time,
//! which covers a far one; and it never depends on anything but what was measured in this run.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::timeline::Connection;

/// Round trips that each limit allows on top of its base.
const ROUND_TRIPS: u32 = 8;
/// Connections whose round-trip time counts for the run's median.
const REMEMBERED: usize = 64;

/// How long after its end a connection is still looked at, for facts that come late.
pub(super) const AFTERMATH: Duration = Duration::from_millis(2500);
/// How long the other address of a host may take before the failure of the first one counts: twice what Go's
/// dialer and RFC 8305 leave between two families, and more.
pub(super) const OTHER_ADDRESS: Duration = Duration::from_secs(1);
/// SYNs sent again before silence counts. Linux sends them 1, 2, 3 s after the first (6.5 or newer), or 1, 3 s.
pub(super) const SYN_RETRANSMITS: u32 = 2;
/// Wait of Go's resolver, and glibc's, for one answer (resolv.conf(5), net/dnsconfig.go).
pub(super) const RESOLVER_TIMEOUT: Duration = Duration::from_secs(5);
/// A resolver that asks again after at least this long gave up on the first question.
pub(super) const RESOLVER_RETRY: Duration = Duration::from_secs(1);
/// A body is slow below this many bytes a second …
pub(super) const SLOW_BYTES_PER_SECOND: u64 = 16 * 1024;
/// … over this long.
pub(super) const SLOW_WINDOW: Duration = Duration::from_secs(10);
/// What a server may send unasked after the handshake, bytes: session tickets, HTTP/2 SETTINGS.
pub(super) const UNASKED_BYTES: u64 = 1500;

/// The limits of a run; they adapt to the round-trip times that its connections measure.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Newest measurement for each host, µs.
    by_host: BTreeMap<String, u32>,
    /// Newest measurements, one for each connection, µs.
    recent: VecDeque<(u32, u32)>,
}

impl Limits {
    pub(super) fn learn<'a>(&mut self, connections: impl Iterator<Item = &'a Connection>) {
        for connection in connections {
            let Some(rtt) = connection.rtt_us() else {
                continue;
            };
            if let Some(host) = &connection.host {
                match self.by_host.get_mut(host) {
                    Some(known) => *known = rtt,
                    None => drop(self.by_host.insert(host.clone(), rtt)),
                }
            }
            let id = connection.id.0;
            match self.recent.iter_mut().find(|(of, _)| *of == id) {
                Some((_, known)) => *known = rtt,
                None => self.recent.push_back((id, rtt)),
            }
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
    }

    /// The round-trip time to assume for a connection: its own, that of its host, or the run's median.
    pub fn round_trip(&self, connection: &Connection) -> Option<Duration> {
        let of_host = || {
            connection
                .host
                .as_ref()
                .and_then(|host| self.by_host.get(host))
                .copied()
        };
        let micros = connection.rtt_us().or_else(of_host);
        micros
            .map(|micros| Duration::from_micros(micros.into()))
            .or_else(|| self.median())
    }

    /// The median round-trip time of the run's newest connections.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<u32> = self.recent.iter().map(|(_, rtt)| *rtt).collect();
        sorted.sort_unstable();
        sorted
            .get(sorted.len() / 2)
            .map(|micros| Duration::from_micros((*micros).into()))
    }

    /// From the first SYN to the established connection: 3 s and 8 round trips.
    pub fn connect(&self, connection: &Connection) -> Duration {
        self.of_connection(3, connection)
    }

    /// From the `ClientHello` to the first byte of an answer: 3 s and 8 round trips.
    pub fn hello(&self, connection: &Connection) -> Duration {
        self.of_connection(3, connection)
    }

    /// From a `connect` of the accelerator, or its `ClientHello`, to an answer: 3 s and 8 round trips.
    pub fn own_connection(&self, round_trip: Option<Duration>) -> Duration {
        self.of_own(3, round_trip)
    }

    /// From a CONNECT of the accelerator to the HTTP proxy's answer, for which it connects to the host: as for any
    /// request, 5 s and 8 round trips.
    pub fn own_tunnel(&self) -> Duration {
        self.of_own(5, None)
    }

    /// Silence within a handshake: 3 s and 8 round trips.
    pub fn handshake(&self, connection: &Connection) -> Duration {
        self.of_connection(3, connection)
    }

    /// From a request to the first byte of its response: 5 s and 8 round trips.
    pub fn request(&self, connection: &Connection) -> Duration {
        self.of_connection(5, connection)
    }

    /// Silence within a response: 5 s and 8 round trips.
    pub fn body(&self, connection: &Connection) -> Duration {
        self.of_connection(5, connection)
    }

    /// A DNS answer is slow after 1 s and 8 of the run's median round trips.
    pub fn dns(&self) -> Duration {
        Duration::from_secs(1)
            + self
                .median()
                .unwrap_or_default()
                .saturating_mul(ROUND_TRIPS)
    }

    /// A wait for a lock: 3 s.
    pub fn lock(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn of_own(&self, base_seconds: u64, round_trip: Option<Duration>) -> Duration {
        let round_trip = round_trip.or_else(|| self.median()).unwrap_or_default();
        Duration::from_secs(base_seconds) + round_trip.saturating_mul(ROUND_TRIPS)
    }

    fn of_connection(&self, base_seconds: u64, connection: &Connection) -> Duration {
        let round_trip = self.round_trip(connection).unwrap_or_default();
        Duration::from_secs(base_seconds) + round_trip.saturating_mul(ROUND_TRIPS)
    }
}
