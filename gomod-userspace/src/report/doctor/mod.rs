// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the doctor found: for people, for programs.

mod json;
mod screen;
#[cfg(test)]
mod tests;

pub use json::{DoctorReport, SCHEMA};
pub use screen::screen;

use crate::doctor::{Check, State};

/// Who looked, and as whom.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Version of gomod-trace.
    pub version: &'static str,
    /// The user whose files and environment were looked at.
    pub uid: u32,
    /// That user called us by sudo.
    pub sudo: bool,
    /// What was found.
    pub checks: Vec<Check>,
}

impl Examination {
    fn count(&self, state: State) -> usize {
        let in_it = self.checks.iter().filter(|check| check.state == state);
        in_it.count()
    }
}
