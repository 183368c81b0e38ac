// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that don't come about.

use serde_json::json;

use super::{
    Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
    limits::{OTHER_ADDRESS, SYN_RETRANSMITS},
    words::{count, evidence, time},
};
use crate::timeline::{Connection, Ended};

/// Returns true, once, if SYNs stay without an answer.
pub(super) fn examine(
    view: View<'_>,
    connection: &Connection,
    told: &mut bool,
    ledger: &mut Ledger,
) -> bool {
    let subject = StallSubject::Connection(connection.id);
    if ledger
        .current(&subject)
        .is_some_and(|stall| stall.verdict == Verdict::ConnectTimeout)
    {
        let ends = [connection.established, connection.closed];
        let over = view.first_end(connection.pid, connection.opened, ends);
        if let Some(over) = over {
            ledger.end(&subject, over);
        }
    }
    if *told || connection.established.is_some() {
        return false;
    }
    let finding = match connection.closed {
        Some(_) => failed(view, connection),
        None => silent(view, connection),
    };
    let Some(finding) = finding else {
        return false;
    };
    *told = true;
    let silent = finding.verdict == Verdict::ConnectTimeout;
    ledger.report(view, finding);
    silent
}

fn silent(view: View<'_>, connection: &Connection) -> Option<Finding> {
    let waited = view.now.since(connection.opened);
    let limit = view.limits.connect(connection);
    // Where packets can't be seen there is no count of SYNs; then only much more time tells.
    let enough = connection.syn_retransmits >= SYN_RETRANSMITS || waited >= limit * 2;
    if waited < limit
        || !enough
        || view.owner_ended(connection).is_some()
        || other_address(view, connection, Other::Established)
    {
        return None;
    }
    let syns = count(u64::from(connection.syn_retransmits) + 1, "SYN");
    Some(Finding {
        verdict: Verdict::ConnectTimeout,
        confidence: Confidence::Confirmed,
        ended: None,
        evidence: evidence(json!({
            "failure": "generic_timeout_error",
            "remote": connection.remote.to_string(),
            "syn_retransmits": connection.syn_retransmits,
        })),
        story: format!(
            "{}: no answer to {syns} in {}",
            connection.peer(),
            time(waited)
        ),
        action: format!(
            "Ask the network team whether port {} of {} is filtered, or set GOPROXY to a mirror that is reachable \
             (`go` itself gives up after 30 s).",
            connection.remote.port(),
            connection.remote.ip(),
        ),
        ..base(connection)
    })
}

fn failed(view: View<'_>, connection: &Connection) -> Option<Finding> {
    let closed = connection.closed?;
    let (verdict, what, action) = match connection.ended {
        Ended::Refused => (
            Verdict::ConnectRefused,
            "the connection was refused (a reset answered the SYN)",
            "Check that the service is running on that port and that no firewall rejects it; GOPROXY can name another mirror.",
        ),
        Ended::Unreachable => (
            Verdict::ConnectUnreachable,
            "the destination is unreachable",
            "Check the routes of this machine (`ip route get ADDRESS`) and its firewall, or set GOPROXY to a mirror that is reachable.",
        ),
        _ => return None,
    };
    // The other address family, or the next address, is tried at once; if that works nothing stalled, and if
    // it fails in its own way, that is what matters.
    let decided = view.now.since(closed) >= OTHER_ADDRESS || view.owner_ended(connection).is_some();
    if !decided
        || other_address(view, connection, Other::Established)
        || (connection.failed_locally && other_address(view, connection, Other::SentSyn))
    {
        return None;
    }
    let after = closed.since(connection.opened);
    Some(Finding {
        verdict,
        confidence: Confidence::Confirmed,
        ended: Some(closed),
        evidence: evidence(json!({
            "failure": if verdict == Verdict::ConnectRefused { "connection_refused" } else { "network_unreachable" },
            "remote": connection.remote.to_string(),
            "errno": connection.errno,
            "failed_locally": connection.failed_locally,
            "rst_ttl": connection.rst_ttl,
            "syn_retransmits": connection.syn_retransmits,
        })),
        story: match connection.errno {
            Some(errno) => format!(
                "{}: {what} after {} (errno {errno})",
                connection.peer(),
                time(after)
            ),
            None => format!("{}: {what} after {}", connection.peer(), time(after)),
        },
        action: action.replace("ADDRESS", &connection.remote.ip().to_string()),
        ..base(connection)
    })
}

/// How many connections before and after one may belong to the same dial.
const NEIGHBOURS: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Established,
    SentSyn,
}

/// True if the same process got further with another address of the same host at about the same time.
fn other_address(view: View<'_>, connection: &Connection, wanted: Other) -> bool {
    // Connections stand in the order they were opened: only those next to this one can be meant.
    let place = (connection.id.0 as usize).saturating_sub(1);
    let connections = &view.timeline.connections;
    let earlier = connections.get(..place).unwrap_or_default().iter().rev();
    let later = connections.get(place + 1..).unwrap_or_default().iter();
    let near = |other: &&Connection| {
        other.opened.since(connection.opened) <= OTHER_ADDRESS
            && connection.opened.since(other.opened) <= OTHER_ADDRESS
    };
    let mut near_by = earlier
        .take(NEIGHBOURS)
        .chain(later.take(NEIGHBOURS))
        .filter(near);
    near_by.any(|other| {
        other.pid == connection.pid
            && other.remote != connection.remote
            && other.remote.port() == connection.remote.port()
            && (other.host == connection.host || other.host.is_none() || connection.host.is_none())
            && match wanted {
                Other::Established => {
                    let limit = connection.closed.unwrap_or(view.now) + OTHER_ADDRESS;
                    other
                        .established
                        .is_some_and(|established| established <= limit)
                }
                Other::SentSyn => !other.failed_locally,
            }
    })
}

fn base(connection: &Connection) -> Finding {
    Finding {
        subject: StallSubject::Connection(connection.id),
        pid: connection.pid,
        verdict: Verdict::ConnectTimeout,
        stage: Stage::Connect,
        confidence: Confidence::Confirmed,
        host: connection.host.clone(),
        began: connection.opened,
        ended: None,
        evidence: super::Evidence::new(),
        story: String::new(),
        action: String::new(),
        explanation: None,
    }
}
