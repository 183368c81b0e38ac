// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests that nothing answers, and responses that stop while the connection stays open.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{Exchange, Response, apart, base, is_open};
use crate::{
    diagnose::{
        Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
        words::{evidence, ms, time},
    },
    kernel::events::{MonotonicNanos, Pid},
    timeline::{Connection, ConnectionId, ModuleFile, ModuleFileKind},
};

/// A file may be looked for this much after the request that it belongs to, by the clocks of two CPUs.
const SLACK: Duration = Duration::from_millis(50);
/// Bytes that may still come while a thing stands still: an HTTP/2 PING, an alert.
const INSIGNIFICANT_BYTES: u64 = 100;
/// Most `.mod` and `.info` files that are missing are of no interest; those that are, are recent.
const NEWEST: usize = 64;

pub(in crate::diagnose) fn examine(
    view: View<'_>,
    pid: Pid,
    connections: &[&Connection],
    establishing: bool,
    ledger: &mut Ledger,
) {
    for connection in connections {
        end(view, connection, ledger);
    }
    let exchanges: Vec<Exchange<'_>> = connections
        .iter()
        .filter(|connection| is_open(view, connection))
        .filter_map(|connection| Exchange::of(connection))
        .collect();
    if exchanges.iter().all(|exchange| {
        view.now.since(exchange.idle_from()) < view.limits.request(exchange.connection)
    }) {
        return;
    }
    let process = Process {
        view,
        pid,
        establishing,
        connections,
        exchanges: &exchanges,
    };
    for finding in process.stalls().into_values() {
        ledger.report(view, finding);
    }
}

fn end(view: View<'_>, connection: &Connection, ledger: &mut Ledger) {
    let subject = StallSubject::Connection(connection.id);
    let Some(stall) = ledger.current(&subject) else {
        return;
    };
    if !matches!(
        stall.verdict,
        Verdict::RequestStalled | Verdict::BodyStalled
    ) {
        return;
    }
    let known_bytes = stall
        .evidence
        .get("connection_bytes_received")
        .and_then(serde_json::Value::as_u64);
    let moved = connection.traffic.as_ref().and_then(|traffic| {
        let more = traffic.bytes_in
            > known_bytes
                .unwrap_or_default()
                .saturating_add(INSIGNIFICANT_BYTES);
        traffic.last_in.filter(|_| more)
    });
    // The files came another way.
    let waiting = view
        .timeline
        .unfinished_files(connection.pid)
        .any(|file| file.wanted <= stall.known);
    let served = (!stall.modules.is_empty() && !waiting)
        .then(|| view.timeline.last_file_done(connection.pid))
        .flatten()
        .filter(|done| *done >= stall.began);
    let ends = [
        moved,
        served,
        connection.rst_received,
        connection.fin_received,
        connection.close_sent,
        connection.closed,
    ];
    if let Some(ended) = view.first_end(connection.pid, connection.opened, ends) {
        ledger.end(&subject, ended);
    }
}

/// The open connections of one process and the files it waits for.
struct Process<'a> {
    view: View<'a>,
    pid: Pid,
    /// It looks a name up, connects, or is in a handshake: what it waits for may be that.
    establishing: bool,
    connections: &'a [&'a Connection],
    exchanges: &'a [Exchange<'a>],
}

impl<'a> Process<'a> {
    fn stalls(&self) -> BTreeMap<ConnectionId, Finding> {
        let mut stalls = BTreeMap::new();
        let mut add = |exchange: &Exchange<'a>, finding: Finding| {
            stalls.entry(exchange.connection.id).or_insert(finding);
        };
        let (zips, small): (Vec<_>, Vec<_>) = self
            .view
            .timeline
            .unfinished_files(self.pid)
            .partition(|file| file.kind == ModuleFileKind::Zip);
        for file in &zips {
            if let Some((exchange, finding)) = self.zip(file) {
                add(exchange, finding);
            }
        }
        if zips.is_empty() && self.waits_for_files() {
            for file in small.iter().rev().take(NEWEST) {
                if let Some((exchange, finding)) = self.small_file(file) {
                    add(exchange, finding);
                }
            }
        }
        if stalls.is_empty() {
            for exchange in self.exchanges {
                if let Some(finding) = self.request_alone(exchange) {
                    stalls.insert(exchange.connection.id, finding);
                }
            }
        }
        stalls
    }

    fn zip(&self, file: &ModuleFile) -> Option<(&'a Exchange<'a>, Finding)> {
        // It came whole and is hashed, or `go` has given it up.
        if file.whole.is_some() || (file.temporary.is_none() && file.discarded.is_some()) {
            return None;
        }
        if file.bytes.is_some_and(|bytes| bytes > 0) {
            let grew = file.grew.unwrap_or(file.wanted);
            let with_bytes = self
                .exchanges
                .iter()
                .filter(|exchange| exchange.response != Response::Nothing);
            let exchange = with_bytes
                .min_by_key(|exchange| apart(exchange.last_in.unwrap_or_default(), grew))?;
            let stuck = self.view.now.since(grew) >= self.view.limits.body(exchange.connection);
            return (stuck && self.idle(exchange)).then(|| {
                (
                    exchange,
                    self.body(exchange, Some(file), Confidence::Confirmed),
                )
            });
        }
        let exchange = self.asked_for(file)?;
        if !self.silent(exchange) {
            return None;
        }
        // Without samples of file sizes nothing is known of the file.
        let sized = self
            .view
            .timeline
            .files
            .iter()
            .any(|file| file.bytes.is_some());
        if exchange.response == Response::Some && !sized {
            return Some((
                exchange,
                self.body(exchange, Some(file), Confidence::Likely),
            ));
        }
        let confidence = if exchange.response == Response::Nothing {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        };
        Some((exchange, self.request(exchange, Some(file), confidence)))
    }

    fn small_file(&self, file: &ModuleFile) -> Option<(&'a Exchange<'a>, Finding)> {
        let exchange = self.asked_for(file)?;
        if !self.silent(exchange) {
            return None;
        }
        let explained = self
            .view
            .timeline
            .last_file_done(self.pid)
            .is_some_and(|done| done >= exchange.request);
        let finding = match exchange.response {
            Response::Nothing => self.request(exchange, Some(file), Confidence::Confirmed),
            Response::Some if !explained => self.body(exchange, Some(file), Confidence::Likely),
            Response::Unclear | Response::Some => {
                self.request(exchange, Some(file), Confidence::Likely)
            }
        };
        Some((exchange, finding))
    }

    /// A request of which no file tells: `@v/list`, `@latest`, the checksum database, another program's.
    fn request_alone(&self, exchange: &Exchange<'a>) -> Option<Finding> {
        let done = self.view.timeline.last_file_done(self.pid);
        let limit = self.view.limits.request(exchange.connection);
        let since = MonotonicNanos(self.view.now.0.saturating_sub(limit.as_nanos() as u64));
        let stalled = exchange.response == Response::Nothing
            && self.idle(exchange)
            && done.is_none_or(|done| exchange.request > done)
            && !self.busy(exchange)
            && !self.view.timeline.has_active_children(self.pid, since);
        stalled.then(|| self.request(exchange, None, Confidence::Likely))
    }

    /// The connection that a file without a byte was asked for on.
    fn asked_for(&self, file: &ModuleFile) -> Option<&'a Exchange<'a>> {
        self.exchanges
            .iter()
            .filter(|exchange| exchange.request + SLACK >= file.wanted)
            .min_by_key(|exchange| (exchange.response, apart(exchange.request, file.wanted)))
    }

    fn idle(&self, exchange: &Exchange<'_>) -> bool {
        self.view.now.since(exchange.idle_from()) >= self.view.limits.request(exchange.connection)
    }

    /// True if nothing has come for too long, and that means something.
    fn silent(&self, exchange: &Exchange<'_>) -> bool {
        self.idle(exchange) && (exchange.response == Response::Nothing || !self.busy(exchange))
    }

    /// True if the process is occupied elsewhere, so that silence here means nothing.
    fn busy(&self, with: &Exchange<'_>) -> bool {
        let limit = self.view.limits.request(with.connection);
        let recent = |moment: Option<MonotonicNanos>| {
            moment.is_some_and(|moment| self.view.now.since(moment) < limit)
        };
        self.establishing
            || self.connections.iter().any(|other| {
                let traffic = other.traffic.as_ref();
                other.id != with.connection.id
                    && (recent(traffic.and_then(|traffic| traffic.last_in))
                        || recent(traffic.and_then(|traffic| traffic.request)))
            })
            || self.exchanges.iter().any(|other| {
                other.connection.id != with.connection.id
                    && other.response == Response::Nothing
                    && with.response != Response::Nothing
            })
    }

    /// True if the process has completed no file and run no other program for so long that it must wait for one
    /// of those that it looked for in vain.
    fn waits_for_files(&self) -> bool {
        let Some(limit) = self
            .exchanges
            .iter()
            .map(|exchange| self.view.limits.request(exchange.connection))
            .max()
        else {
            return false;
        };
        let since = MonotonicNanos(self.view.now.0.saturating_sub(limit.as_nanos() as u64));
        let done = self.view.timeline.last_file_done(self.pid);
        done.is_none_or(|done| done <= since)
            && !self.view.timeline.has_active_children(self.pid, since)
    }

    fn request(
        &self,
        exchange: &Exchange<'_>,
        file: Option<&ModuleFile>,
        confidence: Confidence,
    ) -> Finding {
        let connection = exchange.connection;
        let idle = self.view.now.since(exchange.request);
        let what = match file {
            Some(file) => format!("a request went out and {} is still missing", file.label()),
            None => "a request went out".to_owned(),
        };
        let came = match exchange.received {
            0 => "no byte came back".to_owned(),
            bytes => format!("no response came back ({bytes} bytes of other traffic)"),
        };
        Finding {
            verdict: Verdict::RequestStalled,
            confidence,
            evidence: self.evidence(exchange, file, idle),
            story: format!("{}: {what}, {came} for {}", connection.peer(), time(idle)),
            action: "`go` has no time limit here and would wait for ever: interrupt it and try again, with \
                     GODEBUG=http2client=0 or with GOPROXY set to another mirror."
                .to_owned(),
            ..base(connection, Stage::Request, exchange.request)
        }
    }

    fn body(
        &self,
        exchange: &Exchange<'_>,
        file: Option<&ModuleFile>,
        confidence: Confidence,
    ) -> Finding {
        let connection = exchange.connection;
        let began = exchange.last_in.unwrap_or(exchange.request);
        let idle = self.view.now.since(began);
        let what = match file {
            Some(file) => match file.bytes {
                Some(bytes) => format!("the response stopped, {} has {bytes} bytes", file.label()),
                None => format!("the response stopped while {} is missing", file.label()),
            },
            None => "the response stopped".to_owned(),
        };
        Finding {
            verdict: Verdict::BodyStalled,
            confidence,
            evidence: self.evidence(exchange, file, idle),
            story: format!("{}: {what}, nothing came for {}", connection.peer(), time(idle)),
            action: "`go` has no time limit here and would wait for ever: interrupt it and try again; files that are \
                     complete stay in the module cache. If it stops again, set GOPROXY to another mirror."
                .to_owned(),
            ..base(connection, Stage::Body, began)
        }
    }

    fn evidence(
        &self,
        exchange: &Exchange<'_>,
        file: Option<&ModuleFile>,
        idle: Duration,
    ) -> crate::diagnose::Evidence {
        let connection = exchange.connection;
        evidence(json!({
            "failure": "generic_timeout_error",
            "remote": connection.remote.to_string(),
            "file": file.map(ModuleFile::label),
            "file_bytes": file.and_then(|file| file.bytes),
            "bytes_received": exchange.received,
            "bytes_promised": null,
            "connection_bytes_received": exchange.bytes_in,
            "idle_ms": ms(idle),
            "limit_ms": ms(self.view.limits.request(connection)),
            "srtt_us": connection.rtt_us(),
            "retransmits": connection.retransmits,
        }))
    }
}
