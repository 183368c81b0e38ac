// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that did not finish a handshake with us: their next connections to that host are spliced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Why;
use crate::kernel::events::Pid;

/// How many pairs of process and host are remembered; past it everything is forgotten and learnt again.
const CAPACITY: usize = 4096;

/// Handshakes that break off without a word (a process that ends, a dial given up) happen: one is no proof.
const SILENT_FAILURES: u32 = 2;

/// What handshakes taught.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<(Pid, String), Refusal>>);

#[derive(Debug)]
enum Refusal {
    Certificate,
    Silent(u32),
}

impl Refusals {
    /// Why connections of `pid` to `host` are not to be intercepted, if so.
    pub(super) fn why(&self, pid: Pid, host: &str) -> Option<Why> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.get(&(pid, host.to_owned()))? {
            Refusal::Certificate => Some(Why::CertificateRejected),
            Refusal::Silent(times) => (*times >= SILENT_FAILURES).then_some(Why::HandshakeFailed),
        }
    }

    /// The client said that it will not have our certificate.
    pub(super) fn certificate(&self, pid: Pid, host: &str) {
        self.learn(pid, host, |refusal| *refusal = Refusal::Certificate);
    }

    /// A handshake broke off, nobody said why.
    pub(super) fn silent(&self, pid: Pid, host: &str) {
        self.learn(pid, host, |refusal| {
            if let Refusal::Silent(times) = refusal {
                *times = times.saturating_add(1);
            }
        });
    }

    /// The process is gone: its number will be another's.
    pub(super) fn forget(&self, pid: Pid) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(of, _), _| *of != pid);
    }

    fn learn(&self, pid: Pid, host: &str, change: impl FnOnce(&mut Refusal)) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= CAPACITY {
            refusals.clear();
        }
        change(
            refusals
                .entry((pid, host.to_owned()))
                .or_insert(Refusal::Silent(0)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_certificate_counts_at_once_and_for_that_process_and_host_only() {
        let refusals = Refusals::default();
        refusals.certificate(Pid(1), "a.example");
        refusals.silent(Pid(1), "a.example");
        assert_eq!(
            refusals.why(Pid(1), "a.example"),
            Some(Why::CertificateRejected)
        );
        assert_eq!(refusals.why(Pid(1), "b.example"), None);
        assert_eq!(refusals.why(Pid(2), "a.example"), None);
        refusals.forget(Pid(1));
        assert_eq!(refusals.why(Pid(1), "a.example"), None);
    }

    #[test]
    fn a_handshake_that_breaks_off_counts_the_second_time() {
        let refusals = Refusals::default();
        refusals.silent(Pid(1), "a.example");
        assert_eq!(refusals.why(Pid(1), "a.example"), None);
        refusals.silent(Pid(1), "a.example");
        assert_eq!(
            refusals.why(Pid(1), "a.example"),
            Some(Why::HandshakeFailed)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::default();
        for pid in 0..=CAPACITY as u32 {
            refusals.certificate(Pid(pid), "a.example");
        }
        let kept = refusals.0.lock().expect("not poisoned").len();
        assert!(kept <= CAPACITY, "{kept}");
    }
}
