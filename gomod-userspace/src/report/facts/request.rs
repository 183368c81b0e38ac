// SPDX-License-Identifier: MIT OR Apache-2.0
//! `requests[]`: what is known of single requests. Only who carries the traffic can see them, so that a run
//! that merely observes has none.

use serde::Serialize;

use super::{Tell, at, at_if};
use crate::{
    golang::proxy_file::ProxyFile,
    kernel::events::{MonotonicNanos, Source},
    timeline::RequestSeen,
};

/// One request; times are milliseconds since the run began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::report) struct RequestFact<'a> {
    host: &'a str,
    path: &'a str,
    module: Option<String>,
    version: Option<String>,
    file: Option<&'static str>,
    status: Option<u16>,
    bytes: u64,
    source: Source,
    attempts: u32,
    resumed: u32,
    resumed_bytes: u64,
    began_ms: f64,
    first_byte_ms: Option<f64>,
    done_ms: Option<f64>,
}

impl Tell for RequestSeen {
    type Fact<'a> = RequestFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> RequestFact<'_> {
        let answered = &self.answered;
        let named = ProxyFile::parse(&answered.path);
        RequestFact {
            host: &answered.host,
            path: &answered.path,
            module: named.as_ref().map(|file| file.module.path.clone()),
            version: named.as_ref().map(|file| file.module.version.clone()),
            file: named.as_ref().map(|file| file.kind.extension()),
            status: answered.status,
            bytes: answered.bytes,
            source: answered.source,
            attempts: answered.attempts,
            resumed: answered.resumed,
            resumed_bytes: answered.resumed_bytes,
            began_ms: at(answered.began, began),
            first_byte_ms: at_if(answered.first_byte, began),
            done_ms: answered.whole.then(|| at(self.done, began)),
        }
    }
}
