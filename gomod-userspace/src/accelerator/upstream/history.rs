// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one host has shown so far: round trips, and how long it thinks. Deadlines and raced requests come from it.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples kept of each kind; older ones are forgotten, so that the numbers follow the network.
const KEPT: usize = 64;
/// Fewer answers than this say nothing about the host's usual time to think.
const ENOUGH: usize = 16;
/// No second request is raced sooner than this: it would only add load.
const SOONEST_RACE: Duration = Duration::from_millis(500);
/// Differences below this are of the machine, not of the network.
const NEAR: Duration = Duration::from_millis(10);
/// Raced requests that each answer allows, and the most that can be saved up.
const RACE_SHARE: f64 = 0.1;
const MOST_RACES: f64 = 8.0;

/// The samples of one host.
#[derive(Debug)]
pub(super) struct History {
    round_trips: VecDeque<Duration>,
    first_bytes: VecDeque<Duration>,
    races: f64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            round_trips: VecDeque::new(),
            first_bytes: VecDeque::new(),
            races: 2.0,
        }
    }
}

impl History {
    /// A TCP connection took this long to set up: one round trip.
    pub(super) fn connected(&mut self, took: Duration) {
        keep(&mut self.round_trips, took);
    }

    /// A response began this long after its request; the kernel's smoothed round trip of its connection was this by then.
    pub(super) fn answered(&mut self, took: Duration, round_trip: Option<Duration>) {
        if let Some(round_trip) = round_trip {
            keep(&mut self.round_trips, round_trip);
        }
        keep(&mut self.first_bytes, took);
        self.races = (self.races + RACE_SHARE).min(MOST_RACES);
    }

    /// The 90th percentile of the round trips over their median; 1 while too little is known.
    pub(super) fn unsteadiness(&self) -> f64 {
        let part = |part| percentile(&self.round_trips, part).map(|trip| trip.max(NEAR));
        match (part(0.9), part(0.5)) {
            (Some(slow), Some(normal)) => slow.as_secs_f64() / normal.as_secs_f64(),
            _ => 1.0,
        }
    }

    /// When a second request may be raced: after the 95th percentile of the host's own times, if enough of them are
    /// known and not more than one request in ten was raced.
    pub(super) fn race_after(&mut self) -> Option<Duration> {
        if self.first_bytes.len() < ENOUGH || self.races < 1.0 {
            return None;
        }
        percentile(&self.first_bytes, 0.95).map(|usual| usual.max(SOONEST_RACE))
    }

    /// A second request is being raced.
    pub(super) fn raced(&mut self) {
        self.races = (self.races - 1.0).max(0.0);
    }
}

fn keep(samples: &mut VecDeque<Duration>, sample: Duration) {
    if samples.len() == KEPT {
        samples.pop_front();
    }
    samples.push_back(sample);
}

fn percentile(samples: &VecDeque<Duration>, part: f64) -> Option<Duration> {
    let mut sorted: Vec<Duration> = samples.iter().copied().collect();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * part).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_as_steady_as_its_round_trips() {
        let mut history = History::default();
        assert!((history.unsteadiness() - 1.0).abs() < f64::EPSILON);
        for _ in 0..8 {
            history.connected(Duration::from_millis(10));
        }
        assert!((history.unsteadiness() - 1.0).abs() < 1e-9);
        history.connected(Duration::from_millis(40));
        history.connected(Duration::from_millis(40));
        assert!(
            (history.unsteadiness() - 4.0).abs() < 1e-9,
            "{}",
            history.unsteadiness()
        );
    }

    #[test]
    fn what_the_kernel_measures_later_counts_as_well() {
        let mut history = History::default();
        history.connected(Duration::from_millis(20));
        for trip in [20, 20, 100] {
            let trip = Some(Duration::from_millis(trip));
            history.answered(Duration::from_millis(25), trip);
        }
        assert!((history.unsteadiness() - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_near_host_is_steady() {
        let mut history = History::default();
        for micros in [40, 50, 60, 900, 2_000] {
            history.connected(Duration::from_micros(micros));
        }
        assert!((history.unsteadiness() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut history = History::default();
        for _ in 0..KEPT {
            history.connected(Duration::from_millis(1));
        }
        for _ in 0..KEPT {
            history.connected(Duration::from_millis(100));
        }
        assert_eq!(
            percentile(&history.round_trips, 0.0),
            Some(Duration::from_millis(100))
        );
    }

    #[test]
    fn races_wait_for_knowledge_and_are_rationed() {
        let mut history = History::default();
        assert_eq!(history.race_after(), None);
        for _ in 0..ENOUGH {
            history.answered(Duration::from_secs(2), None);
        }
        assert_eq!(history.race_after(), Some(Duration::from_secs(2)));
        let mut raced = 0;
        while history.race_after().is_some() {
            history.raced();
            raced += 1;
        }
        assert_eq!(raced, 3);
        for _ in 0..10 {
            history.answered(Duration::from_millis(1), None);
        }
        assert!(
            history
                .race_after()
                .is_some_and(|after| after >= SOONEST_RACE)
        );
    }
}
