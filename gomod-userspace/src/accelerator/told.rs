// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done with each connection and why, for the timeline.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use super::Origin;
use crate::kernel::events::{MonotonicNanos, Pid, SocketCookie};

/// Something the accelerator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was decided how a connection is carried. Of a connection whose interception failed, a later
    /// [`Told::Ended`] says so.
    Connection {
        /// When.
        at: MonotonicNanos,
        /// The process.
        pid: Pid,
        /// Its socket.
        cookie: SocketCookie,
        /// How it is carried.
        way: Way,
        /// Why so.
        why: Why,
        /// The host, if the connection named one.
        host: Option<String>,
    },
    /// A connection is over.
    Ended {
        /// When.
        at: MonotonicNanos,
        /// The process.
        pid: Pid,
        /// Its socket.
        cookie: SocketCookie,
        /// Requests answered, if it was intercepted.
        requests: u64,
        /// Bytes from the process to its destination, if it was spliced.
        sent: u64,
        /// Bytes from the destination to the process, if it was spliced.
        received: u64,
        /// What went wrong, in a sentence; `None` if both sides closed in order.
        error: Option<String>,
    },
}

/// How a connection is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Intercepted: its requests are answered by us.
    Accelerated,
    /// Copied byte for byte to where it wanted to go.
    Spliced,
}

/// Why a connection is carried the way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The only reason to intercept.
    ModuleHost,
    /// The policy of the process is unknown.
    SettingsUnreadable,
    /// The named host serves no modules to this process.
    NotModuleHost,
    /// TLS without a server name.
    NoServerName,
    /// The name in the `CONNECT` is not the one in the `ClientHello`.
    NamesDiffer,
    /// The host joined the settings after the run's authority was made: it cannot vouch for it.
    OutsideAuthority,
    /// The process was told to read other certificate files than those that name the authority.
    OtherTrust,
    /// The client offers application protocols, but not HTTP/1.1.
    NoHttp1,
    /// The client offers neither TLS 1.2 nor 1.3.
    OldTls,
    /// An earlier handshake of this process failed at our certificate.
    CertificateRejected,
    /// Earlier handshakes of this process with this host broke off.
    HandshakeFailed,
    /// The connection opens with something else than TLS.
    NotTls,
    /// The client waits for the server to speak first.
    Silent,
    /// The opening did not become whole in time.
    Slow,
    /// The opening is longer than any real one.
    TooLarge,
    /// The client closed its side before its opening was whole.
    EndedEarly,
    /// The client reset the connection before its opening was whole.
    ClientGone,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ModuleHost => "module host",
            Self::SettingsUnreadable => "settings unreadable",
            Self::NotModuleHost => "not a module host",
            Self::NoServerName => "no SNI",
            Self::NamesDiffer => "CONNECT and SNI name different hosts",
            Self::OutsideAuthority => "host not known when the run began",
            Self::OtherTrust => "process reads other certificate files",
            Self::NoHttp1 => "client does not offer HTTP/1.1",
            Self::OldTls => "client offers neither TLS 1.2 nor 1.3",
            Self::CertificateRejected => "client rejected our certificate",
            Self::HandshakeFailed => "earlier handshakes broke off",
            Self::NotTls => "not TLS",
            Self::Silent => "client waits for the server to speak",
            Self::Slow => "ClientHello did not arrive whole in time",
            Self::TooLarge => "ClientHello too large",
            Self::EndedEarly => "client closed before its ClientHello was whole",
            Self::ClientGone => "client reset the connection",
        })
    }
}

/// The sending end: never waits, and counts what found no room.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    sender: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
}

impl Teller {
    pub(super) fn new(capacity: usize) -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let lost = Arc::default();
        (Self { sender, lost }, receiver)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn connection(&self, origin: &Origin, way: Way, why: Why, host: Option<String>) {
        self.tell(Told::Connection {
            at: now(),
            pid: origin.pid,
            cookie: origin.cookie,
            way,
            why,
            host,
        });
    }

    pub(super) fn ended(
        &self,
        origin: &Origin,
        requests: u64,
        (sent, received): (u64, u64),
        error: Option<String>,
    ) {
        self.tell(Told::Ended {
            at: now(),
            pid: origin.pid,
            cookie: origin.cookie,
            requests,
            sent,
            received,
            error,
        });
    }

    fn tell(&self, told: Told) {
        if self.sender.try_send(told).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `CLOCK_MONOTONIC`, the clock of the kernel's events.
fn now() -> MonotonicNanos {
    let now = clock_gettime(ClockId::Monotonic);
    MonotonicNanos((now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let (teller, mut told) = Teller::new(1);
        let origin = Origin {
            destination: ([127, 0, 0, 1], 443).into(),
            pid: Pid(7),
            cookie: SocketCookie(9),
        };
        teller.connection(&origin, Way::Spliced, Why::NoServerName, None);
        teller.ended(&origin, 0, (1, 2), None);
        teller.ended(&origin, 0, (3, 4), None);
        assert_eq!(teller.lost(), 2);
        assert!(matches!(
            told.try_recv(),
            Ok(Told::Connection {
                cookie: SocketCookie(9),
                why: Why::NoServerName,
                ..
            })
        ));
        assert!(told.try_recv().is_err());
    }
}
