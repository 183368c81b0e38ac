// SPDX-License-Identifier: MIT OR Apache-2.0
//! Active tests of one host: one variable at a time, target against control.
//!
//! [`worker`] owns the sockets, in a process and cgroup of its own; [`conductor`] says what is tried, when, and how often;
//! [`witness`] keeps what the kernel saw of those sockets; [`inference`] makes verdicts of it and knows no I/O;
//! [`advice`] says them in words.

pub mod advice;
pub mod arm;
pub mod client;
pub mod conductor;
mod error;
pub mod hello;
pub mod inference;
mod plan;
pub mod results;
mod stages;
pub mod surroundings;
mod target;
pub mod task;
mod verdict;
pub mod witness;
mod work;
pub mod worker;

pub use error::ProbeError;
pub use target::{Host, HostError};
pub use verdict::Verdict;
