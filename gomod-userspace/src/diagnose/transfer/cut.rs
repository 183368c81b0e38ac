// SPDX-License-Identifier: MIT OR Apache-2.0
//! Responses that were cut off.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{Exchange, Response, apart, base};
use crate::{
    diagnose::{
        Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
        words::{evidence, ms, time},
    },
    kernel::events::{MonotonicNanos, Pid},
    timeline::{Connection, ModuleFile, ModuleFileKind},
};

/// `go` throws the temporary file away within this time of the cut.
const REACTION: Duration = Duration::from_secs(2);
/// A file that is complete by then was not cut, only the connection was closed after it.
const COMPLETION: Duration = Duration::from_millis(300);
/// How far the clocks of two CPUs, and samples, may disagree.
const SLACK: Duration = Duration::from_millis(200);

/// Cuts that were told of: which process, which file, since when it was wanted, when it was thrown away.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct Cuts {
    told: BTreeSet<(Pid, String, MonotonicNanos, Option<MonotonicNanos>)>,
}

impl Cuts {
    pub(in crate::diagnose) fn examine(
        &mut self,
        view: View<'_>,
        pid: Pid,
        connections: &[&Connection],
        ledger: &mut Ledger,
    ) {
        let files = view
            .timeline
            .unfinished_files(pid)
            .chain(view.timeline.failed_files(pid));
        for file in files {
            let found = match file.kind {
                ModuleFileKind::Zip => zip(view, file, connections),
                ModuleFileKind::Info | ModuleFileKind::Mod => small_file(view, file, connections),
            };
            let Some((connection, cut, confidence)) = found else {
                continue;
            };
            if !self
                .told
                .insert((pid, file.label(), file.wanted, file.discarded))
            {
                continue;
            }
            // That response had stalled before: the stall says it already.
            let subject = StallSubject::Connection(connection.id);
            let stalled = ledger.stalls().iter().any(|stall| {
                stall.subject == subject && stall.ended.is_none_or(|ended| ended + SLACK >= cut)
            });
            if !stalled {
                ledger.report(view, finding(connection, file, cut, confidence));
            }
        }
    }
}

/// When the peer ended the connection in the middle of things.
fn cut_of(connection: &Connection) -> Option<MonotonicNanos> {
    let moments = [connection.reset_by_peer(), connection.closed_by_peer()];
    moments.into_iter().flatten().min()
}

fn zip<'a>(
    view: View<'_>,
    file: &ModuleFile,
    connections: &[&'a Connection],
) -> Option<(&'a Connection, MonotonicNanos, Confidence)> {
    if file.whole.is_some() {
        return None;
    }
    let grew = file.grew.unwrap_or(file.wanted);
    let has_bytes = file.bytes.is_some_and(|bytes| bytes > 0);
    let answered = |connection: &&&Connection| {
        has_bytes
            || Exchange::of(connection).is_some_and(|exchange| exchange.response == Response::Some)
    };
    let ended = view.timeline.process_end(file.pid, file.wanted);
    let with_cut = connections
        .iter()
        .filter(answered)
        .filter_map(|connection| Some((*connection, cut_of(connection)?)))
        .filter(|(_, cut)| *cut + SLACK >= grew && *cut >= file.wanted);
    let react_by = file.discarded.or(ended);
    match react_by {
        Some(reacted) => {
            let cut = with_cut
                .filter(|(_, cut)| *cut <= reacted + SLACK && reacted.since(*cut) <= REACTION)
                .min_by_key(|(_, cut)| apart(*cut, reacted));
            match cut {
                Some((connection, cut)) => Some((connection, cut, Confidence::Confirmed)),
                None if file.discarded.is_some() && has_bytes => {
                    stream_cut(view, file, grew, reacted, connections)
                }
                None => None,
            }
        }
        None if has_bytes => with_cut
            .filter(|(_, cut)| view.now.since(*cut) >= REACTION && grew <= *cut + SLACK)
            .min_by_key(|(_, cut)| apart(*cut, grew))
            .map(|(connection, cut)| (connection, cut, Confidence::Likely)),
        None => None,
    }
}

/// `go` threw a file with bytes away though the connection lives: the response ended early inside of it, as
/// HTTP/2 does by `RST_STREAM`.
fn stream_cut<'a>(
    view: View<'_>,
    file: &ModuleFile,
    grew: MonotonicNanos,
    discarded: MonotonicNanos,
    connections: &[&'a Connection],
) -> Option<(&'a Connection, MonotonicNanos, Confidence)> {
    if view.now.since(discarded) < COMPLETION || discarded < file.wanted {
        return None;
    }
    let last_in = |connection: &&&Connection| {
        connection
            .traffic
            .as_ref()
            .and_then(|traffic| traffic.last_in)
    };
    let connection = connections
        .iter()
        .filter(|connection| last_in(connection).is_some())
        .min_by_key(|connection| apart(last_in(connection).unwrap_or_default(), grew))?;
    Some((connection, discarded, Confidence::Likely))
}

/// `.info` and `.mod` leave no trace while they come in: only a process that failed soon after tells.
fn small_file<'a>(
    view: View<'_>,
    file: &ModuleFile,
    connections: &[&'a Connection],
) -> Option<(&'a Connection, MonotonicNanos, Confidence)> {
    let process = view.timeline.process_at(file.pid, file.wanted)?;
    let ended = process.ended.filter(|_| process.exit_code != Some(0))?;
    connections.iter().find_map(|connection| {
        let cut = cut_of(connection)?;
        let exchange = Exchange::of(connection)?;
        let fits = exchange.response != Response::Nothing
            && file.wanted <= exchange.request + SLACK
            && exchange.request.since(file.wanted) <= REACTION
            && cut.since(exchange.request) <= REACTION * 2
            && cut <= ended + SLACK
            && ended.since(cut) <= REACTION;
        fits.then_some((*connection, cut, Confidence::Suspected))
    })
}

fn finding(
    connection: &Connection,
    file: &ModuleFile,
    cut: MonotonicNanos,
    confidence: Confidence,
) -> Finding {
    let traffic = connection.traffic.as_ref();
    let received = Exchange::of(connection).map(|exchange| exchange.received);
    let (how, failure) = match (connection.reset_by_peer(), connection.closed_by_peer()) {
        (Some(_), _) => ("the connection was reset", "connection_reset"),
        (None, Some(_)) => ("the peer closed the connection", "eof_error"),
        (None, None) => (
            "the response ended early, though the connection stayed open,",
            "eof_error",
        ),
    };
    let began = traffic
        .and_then(|traffic| traffic.last_in)
        .unwrap_or(cut)
        .min(cut);
    let so_far = match file.bytes {
        Some(bytes) => format!("after {bytes} bytes of {}", file.label()),
        None => format!("before {} was complete", file.label()),
    };
    let ttl = match (connection.rst_ttl, connection.syn_ack_ttl) {
        (Some(rst), Some(syn_ack)) if failure == "connection_reset" && rst != syn_ack => {
            format!(
                "; the RST's TTL is {rst}, the SYN-ACK's {syn_ack}, so something on the path probably sent it"
            )
        }
        _ => String::new(),
    };
    Finding {
        verdict: Verdict::BodyCut,
        confidence,
        ended: Some(cut),
        evidence: evidence(json!({
            "failure": failure,
            "remote": connection.remote.to_string(),
            "file": file.label(),
            "file_bytes": file.bytes,
            "bytes_received": received,
            "bytes_promised": null,
            "connection_bytes_received": connection.bytes_received,
            "idle_ms": ms(cut.since(began)),
            "rst_ttl": connection.rst_ttl.filter(|_| connection.reset_by_peer().is_some()),
            "syn_ack_ttl": connection.syn_ack_ttl,
            "srtt_us": connection.rtt_us(),
        })),
        story: format!("{}: {how} {so_far}, {} after the last data{ttl}", connection.peer(), time(cut.since(began))),
        action: "`go` does not resume: run the command again; files that are complete stay in the module cache. If it is \
                 cut again at about the same size, ask the network team about a volume limit, or set GOPROXY to another \
                 mirror."
            .to_owned(),
        ..base(connection, Stage::Body, began)
    }
}
