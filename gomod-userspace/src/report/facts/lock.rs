// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lock waits, which the event stream tells; in the report those that lasted are stalls.

use std::borrow::Cow;

use serde::Serialize;

use super::{Tell, at, between};
use crate::{kernel::events::MonotonicNanos, timeline::LockWait};

#[derive(Debug, Serialize)]
pub(in crate::report) struct LockFact<'a> {
    pid: u32,
    path: Cow<'a, str>,
    module: Option<&'a str>,
    version: Option<&'a str>,
    began_ms: f64,
    waited_ms: Option<f64>,
    holder_pid: Option<u32>,
    holder_command: Option<&'a str>,
}

impl Tell for LockWait {
    type Fact<'a> = LockFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> LockFact<'_> {
        let (module, version) = self
            .module
            .as_ref()
            .map(|(module, version)| (module.as_str(), version.as_str()))
            .unzip();
        let (holder_pid, holder_command) = self
            .holder
            .as_ref()
            .map(|(pid, command)| (pid.0, command.as_str()))
            .unzip();
        LockFact {
            pid: self.pid.0,
            path: self.path.to_string_lossy(),
            module,
            version,
            began_ms: at(self.began, began),
            waited_ms: between(Some(self.began), self.ended),
            holder_pid,
            holder_command,
        }
    }
}
