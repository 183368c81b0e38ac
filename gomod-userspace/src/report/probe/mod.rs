// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a probe found: for people, for programs, for Wireshark.

mod json;
mod pcapng;
mod table;
#[cfg(test)]
mod tests;

pub use json::{ProbeReport, SCHEMA};
pub use pcapng::{Capture, write_capture};
pub use table::table;
