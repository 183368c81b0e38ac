// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways to get all files that are measured against each other.

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Arm {
    /// `go` by itself.
    Plain,
    /// `go`, HTTP/1.1 only.
    Http1,
    /// `go` with 32 requests in flight.
    ManyThreads,
    /// `gomod-trace run` that keeps nothing of earlier runs.
    Empty,
    /// `gomod-trace run` after another of the same user.
    Filled,
    /// `go` from a directory: no network at all.
    File,
    /// The files alone, without `go`, over as many connections as help.
    Limit,
}

impl Arm {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::Http1,
        Self::ManyThreads,
        Self::Empty,
        Self::Filled,
        Self::File,
        Self::Limit,
    ];

    /// As the table has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain go",
            Self::Http1 => "GODEBUG=http2client=0",
            Self::ManyThreads => "GOMAXPROCS=32",
            Self::Empty => "gomod-trace, empty store",
            Self::Filled => "gomod-trace, filled store",
            Self::File => "GOPROXY=file://",
            Self::Limit => "32 connections, no go",
        }
    }

    /// As JSON has it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Http1 => "http1",
            Self::ManyThreads => "gomaxprocs32",
            Self::Empty => "gomod_trace_empty",
            Self::Filled => "gomod_trace_filled",
            Self::File => "file",
            Self::Limit => "limit",
        }
    }

    /// What differs from the environment of plain `go`.
    pub(crate) fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Http1 => Some(("GODEBUG", "http2client=0")),
            Self::ManyThreads => Some(("GOMAXPROCS", "32")),
            _ => None,
        }
    }

    /// Whether `gomod-trace` takes part.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Empty | Self::Filled)
    }
}

/// The order of round `round`: each round begins with another arm, so that none always follows the same one.
pub(crate) fn order(round: usize) -> impl Iterator<Item = Arm> {
    let count = Arm::ALL.len();
    // A step without a common divisor visits every place, far apart.
    let first = round * 3 % count;
    (0..count).map(move |place| Arm::ALL[(first + place) % count])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_round_has_every_arm_and_begins_with_another() {
        let mut first = BTreeSet::new();
        for round in 0..Arm::ALL.len() {
            let order = order(round).collect::<Vec<_>>();
            first.insert(order[0]);
            assert_eq!(
                order.iter().copied().collect::<BTreeSet<_>>(),
                BTreeSet::from(Arm::ALL)
            );
        }
        assert_eq!(first, BTreeSet::from(Arm::ALL));
    }
}
