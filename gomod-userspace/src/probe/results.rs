// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tries of each arm gave.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    arm::{Arm, Hello},
    task::{Ending, Failure},
};

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// How it ended.
    pub ending: Ending,
    /// From the question to the answer, µs.
    pub took_us: u64,
    /// TCP handshake, µs.
    pub connect_us: Option<u64>,
    /// What the kernel saw; `None` without tracing.
    pub seen: Option<Seen>,
}

/// What the kernel saw of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// TTL of the SYN-ACK.
    pub syn_ack_ttl: Option<u8>,
    /// TTL of the first RST received.
    pub rst_ttl: Option<u8>,
    /// RSTs received.
    pub rsts: u32,
    /// They have different sequence numbers.
    pub rsts_stepped: bool,
    /// From the last byte sent to the first RST, µs.
    pub rst_after_us: Option<u64>,
    /// Payload came in after the first RST.
    pub data_after_rst: bool,
    /// Round trip of the TCP handshake, µs.
    pub rtt_us: Option<u64>,
    /// SYNs sent again.
    pub syn_retransmits: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// The peer acknowledged what was sent; `None` if the kernel did not say.
    pub acked: Option<bool>,
}

/// How an arm fares, once its tries are looked at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not tried.
    Untried,
    /// At least four of five pass.
    Passes,
    /// At least four of five fail, most of them in this way.
    Fails(Way),
    /// Neither.
    Mixed,
}

/// The ways to fail that verdicts tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// RST.
    Reset,
    /// Silence.
    Timeout,
    /// FIN.
    Closed,
    /// Alert.
    Alert,
    /// An answer that is no TLS.
    NotTls,
    /// No connection, SYNs unanswered.
    SynTimeout,
    /// No connection, RST to the SYN.
    SynReset,
    /// No connection, no route.
    Unreachable,
    /// The HTTP proxy opens no tunnel.
    Refused,
    /// Something else.
    Other,
}

/// All tries of a host.
#[derive(Clone, Debug, Default)]
pub struct Results {
    tries: BTreeMap<Arm, Vec<Try>>,
}

impl Results {
    /// Adds a try.
    pub fn add(&mut self, arm: Arm, done: Try) {
        self.tries.entry(arm).or_default().push(done);
    }

    /// The arms that were tried, in the order of the table.
    pub fn arms(&self) -> impl Iterator<Item = (&Arm, &[Try])> {
        self.tries
            .iter()
            .map(|(arm, tries)| (arm, tries.as_slice()))
    }

    /// The tries of an arm.
    pub fn tries(&self, arm: Arm) -> &[Try] {
        self.tries.get(&arm).map_or(&[], Vec::as_slice)
    }

    /// The tries of a hello.
    pub fn hello(&self, kind: Hello, address: SocketAddr) -> &[Try] {
        self.tries(Arm::Hello { kind, address })
    }
}

/// How the tries fare together.
pub fn fate(tries: &[Try]) -> Fate {
    fate_by(tries, |ending| ending.failure_word().is_none())
}

/// The same, where also an alert shows that the peer was reached.
pub fn reach(tries: &[Try]) -> Fate {
    fate_by(tries, |ending| {
        ending.failure_word().is_none() || matches!(ending, Ending::Alert { .. })
    })
}

fn fate_by(tries: &[Try], is_well: impl Fn(&Ending) -> bool) -> Fate {
    // What this machine could not do says nothing of the network.
    let relevant = || {
        tries
            .iter()
            .filter(|one| !matches!(one.ending, Ending::Failed(Failure::System { .. })))
    };
    let count = relevant().count();
    if count == 0 {
        return Fate::Untried;
    }
    let passed = relevant().filter(|one| is_well(&one.ending)).count();
    if passed * 5 >= count * 4 {
        return Fate::Passes;
    }
    let mut ways: BTreeMap<Way, usize> = BTreeMap::new();
    for one in relevant().filter(|one| !is_well(&one.ending)) {
        *ways.entry(way(&one.ending)).or_default() += 1;
    }
    let most = ways.into_iter().max_by_key(|(_, count)| *count);
    match most {
        Some((way, _)) if (count - passed) * 5 >= count * 4 => Fate::Fails(way),
        _ => Fate::Mixed,
    }
}

/// How a try failed.
pub fn way(ending: &Ending) -> Way {
    match ending {
        Ending::Alert { .. } => Way::Alert,
        Ending::NotTls { .. } => Way::NotTls,
        Ending::NoResponse => Way::Timeout,
        Ending::Failed(failure) => match failure {
            Failure::ConnectTimeout => Way::SynTimeout,
            Failure::ConnectRefused => Way::SynReset,
            Failure::Unreachable { .. } => Way::Unreachable,
            Failure::Reset => Way::Reset,
            Failure::Timeout => Way::Timeout,
            Failure::Closed => Way::Closed,
            Failure::ProxyRefused { .. } => Way::Refused,
            _ => Way::Other,
        },
        _ => Way::Other,
    }
}

impl Fate {
    /// Whether it passes.
    pub fn passes(self) -> bool {
        self == Self::Passes
    }

    /// Whether it fails.
    pub fn fails(self) -> bool {
        matches!(self, Self::Fails(_))
    }
}

/// A summary of one arm for tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Tries.
    pub tries: u32,
    /// Of which passed.
    pub passed: u32,
    /// The others, by OONI's word.
    pub failures: BTreeMap<&'static str, u32>,
    /// Median time of those that passed, µs; of all, if none did.
    pub median_us: Option<u64>,
}

impl Tally {
    /// Of an arm's tries.
    pub fn of(tries: &[Try]) -> Self {
        let mut failures = BTreeMap::new();
        for one in tries {
            if let Some(word) = one.ending.failure_word() {
                *failures.entry(word).or_insert(0) += 1;
            }
        }
        let is_well = |one: &&Try| one.ending.failure_word().is_none();
        let mut times: Vec<u64> = tries
            .iter()
            .filter(is_well)
            .map(|one| one.took_us)
            .collect();
        let passed = times.len() as u32;
        if times.is_empty() {
            times = tries.iter().map(|one| one.took_us).collect();
        }
        times.sort_unstable();
        Self {
            tries: tries.len() as u32,
            passed,
            failures,
            median_us: times.get(times.len() / 2).copied(),
        }
    }

    /// `3/5`.
    pub fn share(&self) -> String {
        format!("{}/{}", self.passed, self.tries)
    }
}

#[cfg(test)]
pub(crate) fn try_of(ending: Ending) -> Try {
    Try {
        ending,
        took_us: 1000,
        connect_us: Some(500),
        seen: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(passed: usize, failed: usize) -> Vec<Try> {
        let pass = Ending::ServerHello { version: None };
        std::iter::repeat_n(pass, passed)
            .chain(std::iter::repeat_n(Ending::Failed(Failure::Reset), failed))
            .map(try_of)
            .collect()
    }

    #[test]
    fn four_of_five_decide() {
        assert_eq!(fate(&[]), Fate::Untried);
        assert_eq!(fate(&tries(5, 0)), Fate::Passes);
        assert_eq!(fate(&tries(4, 1)), Fate::Passes);
        assert_eq!(fate(&tries(3, 2)), Fate::Mixed);
        assert_eq!(fate(&tries(1, 4)), Fate::Fails(Way::Reset));
        assert_eq!(fate(&tries(0, 1)), Fate::Fails(Way::Reset));
    }

    #[test]
    fn what_this_machine_could_not_do_counts_for_nothing() {
        let mut all = tries(0, 4);
        all.push(try_of(Ending::Failed(Failure::System {
            what: "no more files".into(),
        })));
        assert_eq!(fate(&all), Fate::Fails(Way::Reset));
        assert_eq!(fate(&all[4..]), Fate::Untried);
    }

    #[test]
    fn an_alert_shows_that_the_peer_was_reached() {
        let alert = [try_of(Ending::Alert {
            code: 112,
            description: "unrecognized_name".into(),
        })];
        assert_eq!(fate(&alert), Fate::Fails(Way::Alert));
        assert_eq!(reach(&alert), Fate::Passes);
    }

    #[test]
    fn a_tally_counts_and_takes_the_median_of_what_passed() {
        let mut all = tries(3, 1);
        for (one, took) in all.iter_mut().zip([30, 10, 20, 9000]) {
            one.took_us = took;
        }
        let tally = Tally::of(&all);
        assert_eq!(
            (tally.tries, tally.passed, tally.median_us),
            (4, 3, Some(20))
        );
        assert_eq!(tally.failures, BTreeMap::from([("connection_reset", 1)]));
        assert_eq!(tally.share(), "3/4");
    }
}
