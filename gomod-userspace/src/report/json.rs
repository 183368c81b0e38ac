// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report of a run, schema `gomod-trace.report/1`; `docs/report.md` explains each field.

use serde::{Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::facts::{ModuleFact, ProcessFact, Sequence, by_version, in_order, milliseconds};
use crate::{
    diagnose::{Hazard, Stall},
    kernel::events::{FetchedAhead, MonotonicNanos},
    timeline::{Connection, DnsExchange, RequestSeen, Timeline},
};

/// Name and version of the schema; the number grows when a reader of the old one would misread the new one.
pub const SCHEMA: &str = "gomod-trace.report/1";

/// Whether traffic was only watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Watched, never touched.
    Observe,
    /// Carried by us where that is allowed.
    Accelerate,
}

/// What a report says of the run as a whole.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Version of gomod-trace.
    pub version: String,
    /// Release of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Whether traffic was only watched.
    pub mode: Mode,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Wall-clock time at which the timeline began.
    pub started: OffsetDateTime,
    /// When the run was over.
    pub ended_at: MonotonicNanos,
    /// Exit code of the command; `None` if it died of a signal or still ran when the run was interrupted.
    pub exit_code: Option<i32>,
    /// The signal that ended the command.
    pub signal: Option<i32>,
}

/// Everything known of a run; serialize it to write it. It borrows, and makes each entry as it is written.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    schema: &'static str,
    version: &'a str,
    kernel: &'a str,
    mode: Mode,
    command: &'a [String],
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[serde(serialize_with = "rfc3339")]
    started: OffsetDateTime,
    wall_ms: f64,
    processes: Vec<ProcessFact<'a>>,
    dns: Sequence<'a, DnsExchange>,
    connections: Sequence<'a, Connection>,
    requests: Sequence<'a, RequestSeen>,
    prefetch: Option<FetchedAhead>,
    modules: Vec<ModuleFact<'a>>,
    stalls: Sequence<'a, Stall>,
    hazards: Sequence<'a, Hazard>,
    events: Events,
}

#[derive(Debug, Serialize)]
struct Events {
    received: u64,
    lost: u64,
}

impl<'a> Report<'a> {
    /// The report of a run. Requests are seen only where they were carried: elsewhere they are encrypted.
    pub fn build(
        timeline: &'a Timeline,
        stalls: &'a [Stall],
        hazards: &'a [Hazard],
        run: &'a RunFacts,
    ) -> Self {
        let began = timeline.began;
        Self {
            schema: SCHEMA,
            version: &run.version,
            kernel: &run.kernel,
            mode: run.mode,
            command: &run.command,
            exit_code: run.exit_code,
            signal: run.signal,
            started: run.started,
            wall_ms: milliseconds(run.ended_at.since(began)),
            processes: in_order(timeline),
            dns: Sequence {
                items: &timeline.dns,
                began,
            },
            connections: Sequence {
                items: &timeline.connections,
                began,
            },
            requests: Sequence {
                items: &timeline.requests,
                began,
            },
            prefetch: timeline.ahead,
            modules: by_version(timeline),
            stalls: Sequence {
                items: stalls,
                began,
            },
            hazards: Sequence {
                items: hazards,
                began,
            },
            events: Events {
                received: timeline.events_received,
                lost: timeline.events_lost,
            },
        }
    }
}

fn rfc3339<S: Serializer>(moment: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = moment.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}
