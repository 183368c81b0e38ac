// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of a transfer that gets long.

use std::net::SocketAddr;

use super::{Experiment, Finding};
use crate::{
    diagnose::{Confidence, Verdict as Passive},
    probe::{
        arm::Arm,
        results::Try,
        task::{Ending, Transfer},
        verdict::Verdict,
    },
};

/// A transfer below this, bytes a second, over [`LONG_US`] or longer, is throttled: `go` would need hours for a module.
const SLOW: u64 = 32 * 1024;
const LONG_US: u64 = 5_000_000;
/// Cuts at places that differ by at most this are at the same one: what is read lies on the boundaries of records.
const SAME_PLACE: u64 = 16 * 1024;

pub(super) fn infer(experiment: &Experiment, address: SocketAddr) -> Option<Finding> {
    let tries = experiment.results.tries(Arm::Download { address });
    if tries.is_empty() {
        return None;
    }
    let most = |count: usize| count * 5 >= tries.len() * 4;
    let broken: Vec<Transfer> = tries.iter().filter_map(|one| broken(&one.ending)).collect();
    if most(broken.len()) {
        return Some(cut(tries, &broken).at(address));
    }
    let slow: Vec<Transfer> = tries.iter().filter_map(|one| slow(&one.ending)).collect();
    if most(slow.len()) {
        return Some(throttled(tries, &slow).at(address));
    }
    let silent = tries
        .iter()
        .filter(|one| one.ending == Ending::NoResponse)
        .count();
    most(silent).then(|| {
        Finding::of_tries(Verdict::Seen(Passive::RequestStalled), tries, &[])
            .at_most(Confidence::Likely)
            .at(address)
    })
}

fn broken(ending: &Ending) -> Option<Transfer> {
    match ending {
        Ending::Cut(transfer) | Ending::Stopped(transfer) => Some(*transfer),
        _ => None,
    }
}

fn slow(ending: &Ending) -> Option<Transfer> {
    let (Ending::Downloaded(transfer) | Ending::Unfinished(transfer)) = ending else {
        return None;
    };
    (transfer.took_us >= LONG_US && rate(transfer) < SLOW).then_some(*transfer)
}

/// Bytes a second.
fn rate(transfer: &Transfer) -> u64 {
    transfer.bytes * 1_000_000 / transfer.took_us.max(1)
}

fn cut(tries: &[Try], broken: &[Transfer]) -> Finding {
    let places = || broken.iter().map(|transfer| transfer.bytes);
    let (first, last) = (places().min().unwrap_or(0), places().max().unwrap_or(0));
    let stopped = tries
        .iter()
        .filter(|one| matches!(one.ending, Ending::Stopped(_)))
        .count()
        * 2
        > broken.len();
    // Cuts here and there are an unreliable path, not a rule.
    let verdict = match (last - first <= SAME_PLACE, stopped) {
        (true, _) => Verdict::VolumeCut,
        (false, true) => Verdict::Seen(Passive::BodyStalled),
        (false, false) => Verdict::Seen(Passive::BodyCut),
    };
    // The server itself could do so: there is no second one to ask for the same file.
    let mut finding = count(verdict, broken.len(), tries);
    finding.evidence.value("bytes", vec![first, last]);
    if let Some(promised) = broken.iter().find_map(|transfer| transfer.promised) {
        finding.evidence.value("promised", promised);
    }
    finding
        .evidence
        .text("how", if stopped { "stopped" } else { "closed" });
    finding
}

fn throttled(tries: &[Try], slow: &[Transfer]) -> Finding {
    let mut finding = count(Verdict::Throttling, slow.len(), tries);
    let mut rates: Vec<u64> = slow.iter().map(rate).collect();
    rates.sort_unstable();
    finding
        .evidence
        .value("bytes_per_second", rates[rates.len() / 2]);
    finding
}

fn count(verdict: Verdict, n: usize, tries: &[Try]) -> Finding {
    let confidence = if n >= 3 {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    Finding::new(verdict, confidence, n as u32, tries.len() as u32)
}
