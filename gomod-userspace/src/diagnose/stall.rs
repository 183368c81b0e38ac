// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stall: what, where, since when, on which evidence.

use serde_json::{Map, Value};

use super::{Cause, Confidence, Stage, Verdict};
use crate::{
    kernel::events::{MonotonicNanos, Pid},
    timeline::ConnectionId,
};

/// Number of a stall in its run, from 1, in the order they became known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StallId(pub u32);

/// Measured facts behind a verdict, by name; units are in the names (`srtt_us`, `idle_ms`, `bytes_received`).
pub type Evidence = Map<String, Value>;

/// What is stalled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StallSubject {
    /// A name that a process looks up.
    Name {
        /// Who asks.
        pid: Pid,
        /// What for.
        name: String,
    },
    /// A nameserver that our own stub asks.
    Nameserver {
        /// Its address and port, or its URL.
        server: String,
    },
    /// A connection.
    Connection(ConnectionId),
    /// A host that the accelerator connects to, or an HTTP proxy.
    Upstream {
        /// Its name.
        host: String,
    },
    /// A tunnel that the accelerator asks an HTTP proxy for.
    Tunnel {
        /// The proxy's name.
        proxy: String,
        /// The host that it is to lead to.
        host: String,
    },
    /// The two kinds of hosts that a process depends on: those of modules, and the checksum database.
    Channels {
        /// The process.
        pid: Pid,
    },
    /// A lock file that a process waits for.
    Lock {
        /// Who waits.
        pid: Pid,
        /// Path of the lock.
        path: std::path::PathBuf,
    },
}

/// A stall, current or over.
#[derive(Clone, Debug, PartialEq)]
pub struct Stall {
    /// Number.
    pub id: StallId,
    /// What is stalled.
    pub subject: StallSubject,
    /// What was seen.
    pub verdict: Verdict,
    /// Where.
    pub stage: Stage,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, where something else in the run separates that; it may become known later than the stall.
    pub cause: Option<Cause>,
    /// The host concerned.
    pub host: Option<String>,
    /// The module files that wait because of it, as `path@version.ext`; may be empty.
    pub modules: Vec<String>,
    /// When the wait began (not when it became known).
    pub began: MonotonicNanos,
    /// When it became known.
    pub known: MonotonicNanos,
    /// When it was over; `None` if it never ended.
    pub ended: Option<MonotonicNanos>,
    /// The numbers.
    pub evidence: Evidence,
    /// One plain sentence: what happened, with the evidence.
    pub story: String,
    /// What to do now, one sentence.
    pub action: String,
}

/// What [`Diagnosis::examine`](super::Diagnosis::examine) found out.
#[derive(Clone, Debug, PartialEq)]
pub enum StallChange {
    /// A stall became known. Where the thing failed instead of hanging (a reset, a refusal), `ended` is set
    /// already and no [`StallChange::Ended`] follows.
    Known(Stall),
    /// The cause of a known stall became known; the stall may be over already.
    Explained {
        /// The stall, with its cause.
        stall: Stall,
        /// What separates the cause, without a full stop.
        because: String,
        /// When it became known.
        at: MonotonicNanos,
    },
    /// A known stall is over; its evidence is final.
    Ended(Stall),
}
