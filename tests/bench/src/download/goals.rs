// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the project promises of downloads.

use super::{Round, arm::Arm, scenario::Scenario};

/// One figure of a round, and what it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// As the table has it.
    pub(crate) name: &'static str,
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
    /// The scenario that the promise is for; others are shown beside it. `None`: for all.
    pub(crate) promised: Option<Scenario>,
}

/// How a figure is taken from a round, so that a drift of the machine hits both sides of a ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Figure {
    /// Wall time of the first over wall time of the second.
    Ratio(Arm, Arm),
    /// The share of requests that found a connection there, percent.
    Reuse(Arm),
}

/// What is good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Shown only.
    None,
}

/// All of them.
pub(crate) const GOALS: [Goal; 7] = [
    Goal {
        name: "plain go / empty store",
        figure: Figure::Ratio(Arm::Plain, Arm::Empty),
        bound: Bound::AtLeast(6.0),
        promised: Some(Scenario::Rtt200),
    },
    Goal {
        name: "… the aim",
        figure: Figure::Ratio(Arm::Plain, Arm::Empty),
        bound: Bound::AtLeast(9.0),
        promised: Some(Scenario::Rtt200),
    },
    Goal {
        name: "GOMAXPROCS=32 / empty store",
        figure: Figure::Ratio(Arm::ManyThreads, Arm::Empty),
        bound: Bound::AtLeast(4.0),
        promised: Some(Scenario::Rtt200),
    },
    Goal {
        name: "empty store / plain go",
        figure: Figure::Ratio(Arm::Empty, Arm::Plain),
        bound: Bound::AtMost(1.15),
        promised: Some(Scenario::Rtt0),
    },
    Goal {
        name: "filled store / file://",
        figure: Figure::Ratio(Arm::Filled, Arm::File),
        bound: Bound::AtMost(1.15),
        promised: Some(Scenario::Rtt0),
    },
    Goal {
        name: "empty store / 32 connections",
        figure: Figure::Ratio(Arm::Empty, Arm::Limit),
        bound: Bound::None,
        promised: None,
    },
    Goal {
        name: "connections reused",
        figure: Figure::Reuse(Arm::Empty),
        bound: Bound::AtLeast(97.0),
        promised: None,
    },
];

impl Figure {
    /// Its value in one round; `None` where nothing was asked for.
    pub(crate) fn of(self, round: &Round) -> Option<f64> {
        match self {
            Self::Ratio(above, below) => {
                let wall = |arm| round.get(&arm).map(|trip| trip.wall.as_secs_f64());
                Some(wall(above)? / wall(below)?)
            }
            Self::Reuse(arm) => {
                let trip = round.get(&arm)?;
                (trip.requests > 0)
                    .then(|| 100.0 * (1.0 - trip.connections as f64 / trip.requests as f64))
            }
        }
    }

    /// With its unit.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Ratio(..) => format!("{value:.2} ×"),
            Self::Reuse(_) => format!("{value:.1} %"),
        }
    }
}

impl Goal {
    /// Whether it is reached; `None` where nothing is promised.
    pub(crate) fn reached(&self, scenario: Scenario, median: f64) -> Option<bool> {
        if self.promised.is_some_and(|promised| promised != scenario) {
            return None;
        }
        match self.bound {
            Bound::AtLeast(least) => Some(median >= least),
            Bound::AtMost(most) => Some(median <= most),
            Bound::None => None,
        }
    }

    /// What is promised, in words.
    pub(crate) fn words(&self) -> String {
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("≥ {}", self.figure.show(least)),
            Bound::AtMost(most) => format!("≤ {}", self.figure.show(most)),
            Bound::None => return String::new(),
        };
        match self.promised {
            Some(scenario) => format!("{bound} at {}", scenario.name()),
            None => bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::course::Trip, *};

    fn round(seconds: [f64; 2], connections: usize) -> Round {
        let trip = |seconds| Trip {
            wall: Duration::from_secs_f64(seconds),
            processor: Duration::ZERO,
            connections,
            resumed: 0,
            requests: 100,
        };
        [
            (Arm::Plain, trip(seconds[0])),
            (Arm::Empty, trip(seconds[1])),
        ]
        .into()
    }

    #[test]
    fn ratios_and_shares_are_taken_within_a_round() {
        let round = round([12.0, 2.0], 4);
        let ratio = Figure::Ratio(Arm::Plain, Arm::Empty).of(&round).unwrap();
        assert!((ratio - 6.0).abs() < 1e-12);
        let reuse = Figure::Reuse(Arm::Empty).of(&round).unwrap();
        assert!((reuse - 96.0).abs() < 1e-12);
        assert_eq!(Figure::Ratio(Arm::Filled, Arm::File).of(&round), None);
    }

    #[test]
    fn a_promise_counts_in_its_scenario_only() {
        let goal = GOALS[0];
        assert_eq!(goal.reached(Scenario::Rtt200, 5.9), Some(false));
        assert_eq!(goal.reached(Scenario::Rtt200, 6.0), Some(true));
        assert_eq!(goal.reached(Scenario::Rtt0, 0.1), None);
        assert_eq!(goal.words(), "≥ 6.00 × at 200 ms");
    }
}
