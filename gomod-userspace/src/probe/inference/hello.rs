// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows a `ClientHello`, compared with hellos that differ in one thing.

use std::net::SocketAddr;

use super::{Experiment, Finding};
use crate::{
    diagnose::{Confidence, Verdict as Passive},
    probe::{
        arm::{Arm, Hello},
        results::{Fate, Try, Way, fate, reach},
        task::Ending,
        verdict::Verdict,
    },
};

/// The matrix at one address of the target.
struct Matrix<'a> {
    experiment: &'a Experiment,
    target: SocketAddr,
}

impl<'a> Matrix<'a> {
    fn tries(&self, kind: Hello) -> &'a [Try] {
        self.experiment
            .place(kind, self.target)
            .map_or(&[], |address| self.experiment.results.hello(kind, address))
    }

    fn fate(&self, kind: Hello) -> Fate {
        fate(self.tries(kind))
    }

    /// Whether some server answered, if only by an alert: with another's name in the hello, it may.
    fn reaches(&self, kind: Hello) -> bool {
        reach(self.tries(kind)).passes()
    }

    fn finding(&self, verdict: Verdict, failing: Hello, passing: &[Hello]) -> Finding {
        let others: Vec<&[Try]> = passing.iter().map(|kind| self.tries(*kind)).collect();
        let mut finding = Finding::of_tries(verdict, self.tries(failing), &others).at(self.target);
        let all = [Hello::Go, Hello::Control, Hello::ControlSmall]
            .into_iter()
            .chain(Hello::MATRIX);
        finding
            .evidence
            .compared(all.map(|kind| (kind.token(), self.tries(kind))));
        finding
    }
}

/// The matrix at one address, and the other addresses where `go`'s hello fares as there.
pub(super) fn infer(experiment: &Experiment) -> Vec<Finding> {
    let Some(target) = experiment.matrix else {
        return Vec::new();
    };
    let matrix = Matrix { experiment, target };
    let mut found: Vec<Finding> = of_matrix(&matrix).into_iter().collect();
    for other in experiment.targets.iter().filter(|other| **other != target) {
        let there = Matrix {
            experiment,
            target: *other,
        };
        let fate = there.fate(Hello::Go);
        if !fate.fails() || has_no_connection(fate) {
            continue;
        }
        match found.first_mut() {
            Some(first) if fate == matrix.fate(Hello::Go) => first.also_at(*other),
            _ => found.push(unexplained(&there, control_passes(experiment, *other))),
        }
    }
    found
}

fn of_matrix(matrix: &Matrix<'_>) -> Option<Finding> {
    let control = control_passes(matrix.experiment, matrix.target);
    let base = matrix.fate(Hello::Go);
    let small = matrix.fate(Hello::Small);
    if base == Fate::Untried || has_no_connection(base) {
        return None;
    }
    let found = size(matrix)
        .or_else(|| alpn(matrix))
        .or_else(|| dead(matrix, control))
        .or_else(|| server_name(matrix, control));
    if found.is_some() {
        return found;
    }
    if base.fails() || small.fails() {
        return Some(unexplained(matrix, control));
    }
    cut(matrix).or_else(|| handshake(matrix))
}

/// Told by what became of the SYNs.
fn has_no_connection(fate: Fate) -> bool {
    matches!(
        fate,
        Fate::Fails(Way::SynTimeout | Way::SynReset | Way::Unreachable)
    )
}

fn control_passes(experiment: &Experiment, target: SocketAddr) -> bool {
    experiment
        .control_beside(target)
        .is_some_and(|beside| experiment.control_passes(beside))
}

/// A large one fails, a small one passes; told apart from the number of segments by a small one in two.
fn size(matrix: &Matrix<'_>) -> Option<Finding> {
    if !matrix.fate(Hello::Go).fails() || !matrix.fate(Hello::Small).passes() {
        return None;
    }
    // As large, but without h2: then size is not what matters.
    if matrix.fate(Hello::Http1).passes() || matrix.fate(Hello::NoAlpn).passes() {
        return None;
    }
    let split = [Hello::SplitBeforeName, Hello::SplitInsideName];
    let verdict = if split.iter().all(|kind| matrix.fate(*kind).fails()) {
        Verdict::HelloSegmentation
    } else {
        Verdict::HelloSize
    };
    Some(matrix.finding(verdict, Hello::Go, &[Hello::Small]))
}

fn alpn(matrix: &Matrix<'_>) -> Option<Finding> {
    let without = [Hello::Http1, Hello::NoAlpn]
        .into_iter()
        .find(|kind| matrix.fate(*kind).passes())?;
    (matrix.fate(Hello::Go).fails() && matrix.fate(Hello::Small).fails())
        .then(|| matrix.finding(Verdict::AlpnH2, Hello::Go, &[without]))
}

/// Whatever is sent there fails.
fn dead(matrix: &Matrix<'_>, control: bool) -> Option<Finding> {
    let experiment = matrix.experiment;
    let non_tls = experiment.results.tries(Arm::NonTls {
        address: matrix.target,
    });
    let unanswered = fate(non_tls).fails();
    let hellos = [Hello::Go, Hello::Small, Hello::ControlName, Hello::NoName];
    let silent = hellos.into_iter().all(|kind| {
        !matrix.tries(kind).is_empty() && !matrix.reaches(kind) && matrix.fate(kind).fails()
    });
    (control && silent && unanswered).then(|| {
        let beside = [Hello::Control, Hello::ControlSmall]
            .into_iter()
            .find(|kind| matrix.fate(*kind).passes())
            .unwrap_or(Hello::Control);
        matrix.finding(Verdict::PostHandshake, Hello::Go, &[beside])
    })
}

/// The target's name fails at both addresses, the control's passes at both.
fn server_name(matrix: &Matrix<'_>, control: bool) -> Option<Finding> {
    let (Fate::Fails(here), Fate::Fails(there)) = (
        matrix.fate(Hello::Small),
        matrix.fate(Hello::TargetNameAtControl),
    ) else {
        return None;
    };
    let verdict = match here {
        Way::Reset => Verdict::SniReset,
        Way::Timeout => Verdict::SniTimeout,
        Way::Closed => Verdict::SniClosed,
        Way::Alert => Verdict::SniAlert,
        _ => return None,
    };
    let other_name_passes = if verdict == Verdict::SniAlert {
        matrix.fate(Hello::ControlName).passes()
    } else {
        // A server that does not know the control's name may say so.
        matrix.reaches(Hello::ControlName)
    };
    (here == there && control && other_name_passes).then(|| {
        let mut finding = matrix.finding(
            verdict,
            Hello::Small,
            &[Hello::ControlName, Hello::ControlSmall],
        );
        let helps: Vec<&str> = [
            Hello::SplitBeforeName,
            Hello::SplitInsideName,
            Hello::SplitRecords,
            Hello::Go,
        ]
        .into_iter()
        .filter(|kind| matrix.fate(*kind).passes())
        .map(Hello::token)
        .collect();
        finding.evidence.value("passes_nevertheless", helps);
        finding
    })
}

/// What `run` would say of it.
fn unexplained(matrix: &Matrix<'_>, control: bool) -> Finding {
    let failing = if matrix.fate(Hello::Go).fails() {
        Hello::Go
    } else {
        Hello::Small
    };
    let way = match matrix.fate(failing) {
        Fate::Fails(way) => way,
        _ => Way::Other,
    };
    let verdict = if control {
        Verdict::Seen(match way {
            Way::Reset => Passive::HelloReset,
            Way::Closed => Passive::HelloClosed,
            Way::Alert | Way::NotTls => Passive::HelloAlert,
            _ => Passive::HelloTimeout,
        })
    } else {
        Verdict::ControlFailed
    };
    let most = if control {
        Confidence::Suspected
    } else {
        Confidence::Likely
    };
    let mut finding = matrix.finding(verdict, failing, &[]).at_most(most);
    if way == Way::NotTls
        && let Some(beginning) = matrix
            .tries(failing)
            .iter()
            .find_map(|one| match &one.ending {
                Ending::NotTls { beginning } => Some(beginning.clone()),
                _ => None,
            })
    {
        finding.evidence.text("answered_with", beginning);
    }
    finding
}

/// `go`'s hello passes, one cut in another way does not.
fn cut(matrix: &Matrix<'_>) -> Option<Finding> {
    if !matrix.fate(Hello::Small).passes() {
        return None;
    }
    let fails = |kind| matrix.fate(kind).fails();
    let (verdict, failing) = if fails(Hello::SplitInsideName) {
        (Verdict::HelloSegmentation, Hello::SplitInsideName)
    } else if fails(Hello::SplitBeforeName) {
        (Verdict::HelloSegmentation, Hello::SplitBeforeName)
    } else if fails(Hello::SplitRecords) {
        (Verdict::HelloRecord, Hello::SplitRecords)
    } else {
        return None;
    };
    let finding = matrix.finding(verdict, failing, &[Hello::Small]);
    // An alert is the word of a server that does not want it so.
    Some(if fate(matrix.tries(failing)) == Fate::Fails(Way::Alert) {
        finding.at_most(Confidence::Suspected)
    } else {
        finding
    })
}

/// Hellos are answered; what of the rest of the handshake, and of the certificate?
fn handshake(matrix: &Matrix<'_>) -> Option<Finding> {
    let tries = matrix.experiment.results.tries(Arm::Handshake {
        address: matrix.target,
    });
    let untrusted = tries
        .iter()
        .filter_map(|one| match &one.ending {
            Ending::Untrusted {
                issuer,
                reason,
                unknown_issuer,
            } => Some((issuer, reason, *unknown_issuer)),
            _ => None,
        })
        .next_back();
    let Fate::Fails(way) = fate(tries) else {
        return None;
    };
    let verdict = match untrusted {
        Some((_, _, true)) => Verdict::Interception,
        Some(_) => Verdict::Seen(Passive::HandshakeUntrusted),
        None => Verdict::Seen(match way {
            Way::Reset => Passive::HelloReset,
            Way::Closed => Passive::HelloClosed,
            Way::Alert => Passive::HelloAlert,
            Way::Timeout => Passive::HelloTimeout,
            _ => return None,
        }),
    };
    let mut finding = Finding::of_tries(verdict, tries, &[]).at(matrix.target);
    if let Some((issuer, reason, _)) = untrusted {
        finding.evidence.text("issuer", issuer.as_str());
        finding.evidence.text("reason", reason.as_str());
    } else {
        finding = finding.at_most(Confidence::Suspected);
        finding.evidence.text(
            "where",
            "after the ServerHello, before the handshake was done",
        );
    }
    finding.evidence.compared([
        ("handshake", tries),
        (Hello::Go.token(), matrix.tries(Hello::Go)),
    ]);
    Some(finding)
}
