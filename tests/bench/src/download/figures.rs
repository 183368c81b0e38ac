// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found, as tables and as JSON: times, ratios with their goals, connections.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Round,
    arm::Arm,
    course::Trip,
    goals::{Bound, GOALS, Goal},
    grid::{self, Grid},
    scenario::Scenario,
};
use crate::statistics::Sample;

/// All rounds.
pub(crate) struct Figures(BTreeMap<Scenario, Vec<Round>>);

impl Figures {
    pub(crate) fn new(rounds: BTreeMap<Scenario, Vec<Round>>) -> Self {
        Self(rounds)
    }

    /// Whether no promise is broken. The aim is no promise, but counts: it's what is worked for.
    pub(crate) fn all_goals_reached(&self) -> bool {
        GOALS.iter().all(|goal| {
            self.0.iter().all(|(scenario, rounds)| {
                sample_of(goal, rounds)
                    .and_then(|sample| goal.reached(*scenario, sample.median()))
                    .unwrap_or(true)
            })
        })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        self.grids().map(|grid| grid::text(&grid)).join("\n")
    }

    /// For documentation.
    pub(crate) fn markdown(&self) -> String {
        self.grids().map(|grid| grid::markdown(&grid)).join("\n")
    }

    fn grids(&self) -> [Grid; 3] {
        [self.times(), self.goals(), self.connections()]
    }

    fn header(&self, first: &str, last: Option<&str>) -> Vec<String> {
        std::iter::once(first)
            .chain(self.0.keys().map(|scenario| scenario.name()))
            .chain(last)
            .map(str::to_owned)
            .collect()
    }

    /// Medians, with the fastest and the slowest run and their number.
    fn times(&self) -> Grid {
        let mut grid = vec![self.header("wall time, s: median (least – most, n)", None)];
        grid.extend(Arm::ALL.map(|arm| {
            let cells = self
                .0
                .values()
                .map(|rounds| seconds(rounds, arm).map_or_else(String::new, |one| spread(&one)));
            std::iter::once(arm.name().to_owned())
                .chain(cells)
                .collect()
        }));
        grid
    }

    fn goals(&self) -> Grid {
        let mut grid = vec![self.header("within a round: median (least – most)", Some("goal"))];
        grid.extend(GOALS.iter().map(|goal| {
            let cells = self.0.iter().map(|(scenario, rounds)| {
                let Some(sample) = sample_of(goal, rounds) else {
                    return String::new();
                };
                let result = match goal.reached(*scenario, sample.median()) {
                    Some(true) => ", pass",
                    Some(false) => ", MISS",
                    None => "",
                };
                format!(
                    "{} ({:.2} – {:.2}){result}",
                    goal.figure.show(sample.median()),
                    sample.quantile(0.0),
                    sample.maximum()
                )
            });
            std::iter::once(goal.name.to_owned())
                .chain(cells)
                .chain([goal.words()])
                .collect()
        }));
        grid
    }

    /// At the module proxy, medians.
    fn connections(&self) -> Grid {
        let mut grid = vec![self.header("handshakes (resumed) / requests, medians", None)];
        let arms = [
            Arm::Plain,
            Arm::Http1,
            Arm::ManyThreads,
            Arm::Empty,
            Arm::Filled,
            Arm::Limit,
        ];
        grid.extend(arms.map(|arm| {
            let cells = self.0.values().map(|rounds| {
                let median = |pick: fn(&Trip) -> usize| {
                    sample(rounds, arm, |trip| pick(trip) as f64)
                        .map_or_else(String::new, |one| format!("{:.0}", one.median()))
                };
                format!(
                    "{} ({}) / {}",
                    median(|trip| trip.connections),
                    median(|trip| trip.resumed),
                    median(|trip| trip.requests)
                )
            });
            std::iter::once(arm.name().to_owned())
                .chain(cells)
                .collect()
        }));
        grid
    }

    /// Every value.
    pub(crate) fn json(&self) -> Value {
        self.0
            .iter()
            .map(|(scenario, rounds)| {
                let arms = Arm::ALL
                    .map(|arm| (arm.key().to_owned(), json_of(*scenario, rounds, arm)))
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>();
                let goals = GOALS
                    .iter()
                    .filter_map(|goal| {
                        let sample = sample_of(goal, rounds)?;
                        Some(json!({
                            "name": goal.name,
                            "median": sample.median(),
                            "values": sample.values(),
                            "goal": match goal.bound {
                                Bound::AtLeast(least) => json!({"least": least}),
                                Bound::AtMost(most) => json!({"most": most}),
                                Bound::None => Value::Null,
                            },
                            "pass": goal.reached(*scenario, sample.median()),
                        }))
                    })
                    .collect::<Vec<_>>();
                let value = json!({"rounds": rounds.len(), "runs": arms, "goals": goals});
                (scenario.key(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn json_of(scenario: Scenario, rounds: &[Round], arm: Arm) -> Value {
    let trips = || rounds.iter().filter_map(|round| round.get(&arm));
    let seconds = |pick: fn(&Trip) -> f64| trips().map(pick).collect::<Vec<_>>();
    json!({
        "wall_s": seconds(|trip| trip.wall.as_secs_f64()),
        // Beside other labs it is not known whose time it was.
        "processor_s": if scenario.waits() {
            Value::Null
        } else {
            json!(seconds(|trip| trip.processor.as_secs_f64()))
        },
        "handshakes": trips().map(|trip| trip.connections).collect::<Vec<_>>(),
        "resumed": trips().map(|trip| trip.resumed).collect::<Vec<_>>(),
        "requests": trips().map(|trip| trip.requests).collect::<Vec<_>>(),
    })
}

fn sample(rounds: &[Round], arm: Arm, pick: impl Fn(&Trip) -> f64) -> Option<Sample> {
    Sample::new(rounds.iter().filter_map(|round| round.get(&arm)).map(pick))
}

fn seconds(rounds: &[Round], arm: Arm) -> Option<Sample> {
    sample(rounds, arm, |trip| trip.wall.as_secs_f64())
}

fn sample_of(goal: &Goal, rounds: &[Round]) -> Option<Sample> {
    Sample::new(rounds.iter().filter_map(|round| goal.figure.of(round)))
}

fn spread(sample: &Sample) -> String {
    format!(
        "{:.2} ({:.2} – {:.2}, {})",
        sample.median(),
        sample.quantile(0.0),
        sample.maximum(),
        sample.values().len()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn figures(empty: f64) -> Figures {
        let trip = |seconds, requests| Trip {
            wall: Duration::from_secs_f64(seconds),
            processor: Duration::from_secs_f64(seconds),
            connections: 1,
            resumed: 0,
            requests,
        };
        let round = [
            (Arm::Plain, trip(1.0, 360)),
            (Arm::Empty, trip(empty, 360)),
            (Arm::Filled, trip(0.5, 0)),
            (Arm::File, trip(0.5, 0)),
        ]
        .into();
        Figures::new([(Scenario::Rtt0, vec![round])].into())
    }

    #[test]
    fn a_missed_goal_is_seen_in_every_form() {
        let missed = figures(1.16);
        assert!(!missed.all_goals_reached());
        assert!(missed.text().contains("1.16 × (1.16 – 1.16), MISS"));
        assert!(missed.markdown().contains("MISS |"));
        let json = missed.json();
        let goals = json["rtt0"]["goals"].as_array().unwrap();
        let verdict = |name| goals.iter().find(|goal| goal["name"] == name).unwrap();
        assert_eq!(verdict("empty store / plain go")["pass"], false);
        assert_eq!(verdict("filled store / file://")["pass"], true);
        let reached = figures(1.15);
        assert!(reached.all_goals_reached());
        assert!(!reached.text().contains("MISS"));
    }

    #[test]
    fn times_have_their_spread_and_number() {
        assert!(figures(1.1).text().contains("1.10 (1.10 – 1.10, 1)"));
    }
}
