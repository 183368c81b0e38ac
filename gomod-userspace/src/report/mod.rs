// SPDX-License-Identifier: MIT OR Apache-2.0
//! Terminal progress, summary, JSON.
//!
//! Everything here is made from a [`Timeline`](crate::timeline::Timeline) and the
//! [stalls](crate::diagnose::Stall) found in it. What is said is composed without I/O; only [`mod@file`], [`live`]
//! and the writers given by the caller touch the outside. Nothing is written to standard output.

pub mod doctor;
pub mod file;
pub mod json;
pub mod live;
pub mod probe;
pub mod stream;
pub mod summary;
pub mod units;

mod carried;
mod facts;
mod palette;
mod progress;
mod screen;
mod stall_lines;
mod text;
mod unfinished;
mod wait;

#[cfg(test)]
mod tests;

pub use facts::Path;
pub use file::{ReportError, check_target, create_stream, write_report};
pub use json::{Mode, Report, RunFacts, SCHEMA};
pub use live::{Live, LiveOptions};
pub use palette::Palette;
pub use stall_lines::{hazard_known, stall_ended, stall_explained, stall_known};
pub use stream::EventStream;
pub use summary::{SummaryFacts, summary};
