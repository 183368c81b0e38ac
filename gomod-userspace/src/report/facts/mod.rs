// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the report and the event stream say of one thing: the shapes of `docs/report.schema.json`.
//!
//! They borrow from the timeline, so that a report of ten thousand connections is never held twice.

mod connection;
mod dns;
mod hazard;
mod lock;
mod module;
mod process;
mod request;
mod stall;

use std::time::Duration;

use serde::{Serialize, Serializer};

pub(super) use module::by_version;
pub(super) use process::in_order;

pub(super) use self::{module::ModuleFact, process::ProcessFact};
use crate::kernel::events::{MonotonicNanos, Way};

/// Something of the timeline that can be told.
pub(super) trait Tell {
    /// Its shape in JSON.
    type Fact<'a>: Serialize
    where
        Self: 'a;

    /// The fact, its times counted from `began`.
    fn tell(&self, began: MonotonicNanos) -> Self::Fact<'_>;
}

/// A list of facts, each made when it is written.
#[derive(Debug)]
pub(super) struct Sequence<'a, T> {
    pub(super) items: &'a [T],
    pub(super) began: MonotonicNanos,
}

impl<T: Tell> Serialize for Sequence<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items.iter().map(|item| item.tell(self.began)))
    }
}

/// How traffic went to its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// As the process sent it.
    Direct,
    /// Through us, each request on its own.
    Accelerated,
    /// Through us, as a stream that we do not look into.
    Spliced,
}

impl From<Way> for Path {
    fn from(way: Way) -> Self {
        match way {
            Way::Direct => Self::Direct,
            Way::Accelerated => Self::Accelerated,
            Way::Spliced => Self::Spliced,
        }
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    ((duration.as_nanos() + 500) / 1_000) as f64 / 1e3
}

/// A moment as milliseconds since `began`.
pub(super) fn at(moment: MonotonicNanos, began: MonotonicNanos) -> f64 {
    milliseconds(moment.since(began))
}

/// A moment that may not have come, as milliseconds since `began`.
pub(super) fn at_if(moment: Option<MonotonicNanos>, began: MonotonicNanos) -> Option<f64> {
    moment.map(|moment| at(moment, began))
}

/// The time between two moments that may not have come.
pub(super) fn between(from: Option<MonotonicNanos>, to: Option<MonotonicNanos>) -> Option<f64> {
    Some(milliseconds(to?.since(from?)))
}
