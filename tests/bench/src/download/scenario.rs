// SPDX-License-Identifier: MIT OR Apache-2.0
//! The networks that are measured.

use std::time::Duration;

use clap::ValueEnum;
use gomod_lab::{Lab, LabBuilder, Rate};

/// A network between `go` and the module proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Scenario {
    /// No delay: whatever the machine can.
    Rtt0,
    /// 50 ms round trip.
    Rtt50,
    /// 200 ms round trip.
    Rtt200,
    /// 200 ms round trip, one packet in a hundred lost in each direction.
    Lossy,
    /// No delay, 100 Mbit/s in each direction.
    #[value(name = "100mbit")]
    Narrow,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 5] = [
        Self::Rtt0,
        Self::Rtt50,
        Self::Rtt200,
        Self::Lossy,
        Self::Narrow,
    ];

    /// As the table has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rtt0 => "RTT 0",
            Self::Rtt50 => "50 ms",
            Self::Rtt200 => "200 ms",
            Self::Lossy => "200 ms, 1 % loss",
            Self::Narrow => "100 Mbit/s",
        }
    }

    /// As JSON and the command line have it.
    pub(crate) fn key(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Settings of the lab. Each round loses other packets.
    pub(crate) fn network(self, round: usize) -> LabBuilder {
        let lab = Lab::builder().seed(round as u64 + 1);
        let ms = Duration::from_millis;
        match self {
            Self::Rtt0 => lab,
            Self::Rtt50 => lab.rtt(ms(50)),
            Self::Rtt200 => lab.rtt(ms(200)),
            Self::Lossy => lab.rtt(ms(200)).loss(0.01),
            Self::Narrow => lab.rate(Rate::mbit(100)),
        }
    }

    /// Rounds, unless told otherwise: as many as ten minutes have room for.
    pub(crate) fn rounds(self) -> usize {
        match self {
            Self::Rtt0 => 7,
            Self::Rtt50 => 3,
            Self::Rtt200 | Self::Lossy | Self::Narrow => 2,
        }
    }

    /// Whether nearly all of the time is spent waiting for packets under way. Then several labs can run beside each
    /// other; a round at 200 ms takes minutes.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Rtt50 | Self::Rtt200 | Self::Lossy)
    }
}
