// SPDX-License-Identifier: MIT OR Apache-2.0
//! Responses that crawl.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::json;

use super::{apart, base};
use crate::{
    diagnose::{
        Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
        limits::{SLOW_BYTES_PER_SECOND, SLOW_WINDOW},
        words::evidence,
    },
    kernel::events::{MonotonicNanos, Pid},
    timeline::{Connection, ConnectionId, FileProgress, ModuleFile, ModuleFileKind},
};

/// Samples are taken no closer than this.
const SAMPLE: Duration = Duration::from_millis(500);
/// A slow body is slow no more above this multiple of the limit.
const RECOVERED: u64 = 2;

/// How fast each process receives while it writes a zip.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct Rates {
    counted: BTreeMap<ConnectionId, u64>,
    totals: BTreeMap<Pid, u64>,
    /// By place of the file in the timeline, since its first byte.
    files: BTreeMap<usize, Window>,
}

#[derive(Clone, Debug)]
struct Window {
    temporary: Option<std::path::PathBuf>,
    samples: VecDeque<(MonotonicNanos, u64)>,
    told: Option<StallSubject>,
}

impl Rates {
    pub(in crate::diagnose) fn examine(
        &mut self,
        view: View<'_>,
        transfers: &BTreeMap<Pid, Vec<&Connection>>,
        ledger: &mut Ledger,
    ) {
        self.count(transfers);
        for (place, file) in view.timeline.files_in_writing() {
            let started =
                file.kind == ModuleFileKind::Zip && file.bytes.is_some_and(|bytes| bytes > 0);
            if started && !self.files.contains_key(&place) {
                let window = Window {
                    temporary: file.temporary.clone(),
                    samples: VecDeque::new(),
                    told: None,
                };
                self.files.insert(place, window);
            }
        }
        let totals = &self.totals;
        self.files.retain(|place, window| {
            let Some(file) = view.timeline.files.get(*place) else {
                return false;
            };
            let total = totals.get(&file.pid).copied().unwrap_or_default();
            if file.progress != FileProgress::Writing
                || file.temporary != window.temporary
                || file.whole.is_some()
            {
                let over = file.done.or(file.whole).or(file.discarded);
                if let Some(over) = view.first_end(file.pid, file.wanted, [over]) {
                    window.end(ledger, over);
                }
                return false;
            }
            window.sample(view.now, total);
            window.judge(
                view,
                file,
                total,
                transfers.get(&file.pid).map_or(&[], Vec::as_slice),
                ledger,
            );
            true
        });
    }

    fn count(&mut self, transfers: &BTreeMap<Pid, Vec<&Connection>>) {
        for (pid, connections) in transfers {
            let total = self.totals.entry(*pid).or_default();
            for connection in connections {
                let counted = self.counted.entry(connection.id).or_default();
                *total = total.saturating_add(connection.bytes_received.saturating_sub(*counted));
                *counted = connection.bytes_received.max(*counted);
            }
        }
        let open = |id: &ConnectionId| {
            transfers
                .values()
                .flatten()
                .any(|connection| connection.id == *id)
        };
        if self.counted.len() > 4 * transfers.values().map(Vec::len).sum::<usize>() + 16 {
            self.counted.retain(|id, _| open(id));
        }
    }
}

impl Window {
    fn sample(&mut self, now: MonotonicNanos, total: u64) {
        if self
            .samples
            .back()
            .is_none_or(|(at, _)| now.since(*at) >= SAMPLE)
        {
            self.samples.push_back((now, total));
        }
        // The oldest one stays while the next is not yet a whole window old.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.since(*at) >= SLOW_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn judge(
        &mut self,
        view: View<'_>,
        file: &ModuleFile,
        total: u64,
        connections: &[&Connection],
        ledger: &mut Ledger,
    ) {
        let Some((since, before)) = self.samples.front().copied() else {
            return;
        };
        let span = view.now.since(since);
        let grew = file.grew.unwrap_or(file.wanted);
        if span < SLOW_WINDOW {
            return;
        }
        let received = total.saturating_sub(before);
        let rate = (received as f64 / span.as_secs_f64()) as u64;
        let last_in = |connection: &Connection| {
            connection
                .traffic
                .as_ref()
                .and_then(|traffic| traffic.last_in)
        };
        let Some(connection) = connections
            .iter()
            .filter(|connection| last_in(connection).is_some())
            .min_by_key(|connection| apart(last_in(connection).unwrap_or_default(), grew))
        else {
            return;
        };
        let silent = view.now.since(grew) >= view.limits.body(connection);
        if silent || rate >= SLOW_BYTES_PER_SECOND * RECOVERED {
            self.end(ledger, if silent { grew } else { view.now });
            return;
        }
        let subject = StallSubject::Connection(connection.id);
        if self.told.is_some()
            || rate >= SLOW_BYTES_PER_SECOND
            || received == 0
            || ledger.current(&subject).is_some()
        {
            return;
        }
        self.told = Some(subject);
        let label = file.label();
        ledger.report(
            view,
            Finding {
                verdict: Verdict::BodySlow,
                confidence: Confidence::Confirmed,
                evidence: evidence(json!({
                    "remote": connection.remote.to_string(),
                    "file": label,
                    "file_bytes": file.bytes,
                    "bytes_received": received,
                    "bytes_promised": null,
                    "bytes_per_second": rate,
                    "limit_bytes_per_second": SLOW_BYTES_PER_SECOND,
                    "window_ms": span.as_millis() as u64,
                    "srtt_us": connection.rtt_us(),
                    "retransmits": connection.retransmits,
                })),
                story: format!(
                    "{}: {label} comes at {rate} bytes per second ({} bytes so far, {} retransmissions)",
                    connection.peer(),
                    file.bytes.unwrap_or_default(),
                    connection.retransmits,
                ),
                action: "Check what else uses the line, and compare with another network; GOPROXY can name a nearer mirror.".to_owned(),
                ..base(connection, Stage::Body, since)
            },
        );
    }

    fn end(&mut self, ledger: &mut Ledger, at: MonotonicNanos) {
        if let Some(subject) = self.told.take()
            && ledger
                .current(&subject)
                .is_some_and(|stall| stall.verdict == Verdict::BodySlow)
        {
            ledger.end(&subject, at);
        }
    }
}
