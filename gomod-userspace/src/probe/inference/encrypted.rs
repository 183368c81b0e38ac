// SPDX-License-Identifier: MIT OR Apache-2.0
//! What resolvers say that were asked encrypted, where the nameservers say otherwise. By itself it is no finding: `go` does
//! not ask them.

use serde_json::json;

use super::{Evidence, Experiment};
use crate::{
    diagnose::Confidence,
    nameserver::DnsServer,
    probe::{
        arm::{Arm, Side},
        results::{Tally, Try},
        task::Ending,
    },
};

/// Resolvers that know the name; may be none.
#[derive(Debug, Default)]
pub(super) struct Encrypted<'a> {
    /// Which.
    resolvers: Vec<&'a DnsServer>,
    /// Their tries; those for a family that the name has no addresses of are left out.
    pub(super) tries: Vec<Try>,
}

impl<'a> Encrypted<'a> {
    /// Those that give the name addresses.
    pub(super) fn of(experiment: &'a Experiment) -> Self {
        let mut known = Self::default();
        for (number, server) in experiment.resolvers.iter().enumerate() {
            let https = matches!(server, DnsServer::Https { .. });
            let kinds = [false, true].map(|v6| {
                experiment.results.tries(Arm::Encrypted {
                    of: Side::Target,
                    https,
                    v6,
                    resolver: number,
                })
            });
            if kinds.into_iter().any(gives_addresses) {
                known.resolvers.push(server);
                let tries = kinds.into_iter().flatten();
                known.tries.extend(
                    tries
                        .filter(|one| one.ending.failure_word() != Some("dns_no_answer"))
                        .cloned(),
                );
            }
        }
        known
    }

    pub(super) fn is_empty(&self) -> bool {
        self.resolvers.is_empty()
    }

    /// How sure it is that the name exists.
    pub(super) fn confidence(&self) -> Confidence {
        let tally = Tally::of(&self.tries);
        match tally.passed {
            0..3 => Confidence::Suspected,
            passed if passed >= 5 && passed == tally.tries => Confidence::Confirmed,
            _ => Confidence::Likely,
        }
    }

    /// Names them in the evidence, if there are any.
    pub(super) fn name(&self, evidence: &mut Evidence) {
        if !self.is_empty() {
            evidence.value("resolvers", json!(self.resolvers));
        }
    }
}

/// Four of five tries give an address that a public host can have: block lists answer with others.
fn gives_addresses(tries: &[Try]) -> bool {
    let gives = |one: &&Try| {
        matches!(&one.ending, Ending::Resolved { rcode, addresses } if rcode == "NOERROR"
            && addresses.iter().any(|address| !super::bogon::is_never_public(*address)))
    };
    !tries.is_empty() && tries.iter().filter(gives).count() * 5 >= tries.len() * 4
}
