// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast a nameserver answers, and whether it does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a server that nothing is known of is expected to take.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Silence is never told from slowness sooner than this.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(20);
/// Nor is it waited for longer, as another question costs little.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);
/// How long a silent server is left out of the first question, doubled with each further silence.
const AVOIDED: Duration = Duration::from_secs(1);
/// The most doublings.
const DOUBLINGS: u32 = 5;

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Smoothed round trip and its variation (RFC 6298 section 2).
    round_trip: Option<(Duration, Duration)>,
    /// Questions without an answer since the last answer.
    silences: u32,
    /// When a silent server is to be asked beside another, to see whether it is back.
    probe_at: Option<Instant>,
}

impl Health {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It answered, whatever it said.
    pub(super) fn answered(&self, after: Duration) {
        self.with(|state| {
            state.round_trip = Some(match state.round_trip {
                None => (after, after / 2),
                Some((smoothed, variation)) => {
                    let off = smoothed.abs_diff(after);
                    ((smoothed * 7 + after) / 8, (variation * 3 + off) / 4)
                }
            });
            state.silences = 0;
            state.probe_at = None;
        });
    }

    /// It did not answer within its [`Health::patience`], or can't be reached.
    pub(super) fn silent(&self) {
        self.with(|state| {
            let avoided = AVOIDED * 2_u32.pow(state.silences.min(DOUBLINGS));
            state.silences += 1;
            state.probe_at = Some(Instant::now() + avoided);
        });
    }

    /// How long to wait for it before another is asked: nearly all its answers came sooner.
    pub(super) fn patience(&self) -> Duration {
        self.with(|state| {
            state
                .round_trip
                .map_or(UNKNOWN, |(smoothed, variation)| smoothed + variation * 4)
        })
        .clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE)
    }

    /// The smaller, the sooner it is asked.
    pub(super) fn score(&self) -> Duration {
        self.with(|state| {
            let round_trip = state.round_trip.map_or(UNKNOWN, |(smoothed, _)| smoothed);
            round_trip.max(Duration::from_millis(1)) * 4_u32.pow(state.silences.min(DOUBLINGS))
        })
    }

    /// Whether it was silent and it is time to see if it is back; asked again, not before long.
    pub(super) fn probe_is_due(&self) -> bool {
        self.with(|state| {
            let due = state.probe_at.is_some_and(|at| at <= Instant::now());
            if due {
                let avoided = AVOIDED * 2_u32.pow(state.silences.min(DOUBLINGS));
                state.probe_at = Some(Instant::now() + avoided);
            }
            due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[tokio::test(start_paused = true)]
    async fn patience_follows_the_round_trips() {
        let health = Health::default();
        assert_eq!(health.patience(), UNKNOWN);
        for _ in 0..50 {
            health.answered(milliseconds(40));
        }
        assert!(
            (milliseconds(40)..milliseconds(50)).contains(&health.patience()),
            "{:?}",
            health.patience()
        );
        health.answered(milliseconds(400));
        assert!(health.patience() > milliseconds(300));
        for _ in 0..50 {
            health.answered(Duration::from_micros(50));
        }
        assert_eq!(health.patience(), SHORTEST_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_servers_come_last_until_they_answer() {
        let (silent, slow) = (Health::default(), Health::default());
        silent.answered(milliseconds(1));
        slow.answered(milliseconds(200));
        assert!(silent.score() < slow.score());
        for _ in 0..5 {
            silent.silent();
        }
        assert!(silent.score() > slow.score());
        silent.answered(milliseconds(1));
        assert!(silent.score() < slow.score());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_probed_once_in_a_while() {
        let health = Health::default();
        assert!(!health.probe_is_due());
        health.silent();
        assert!(!health.probe_is_due());
        tokio::time::advance(AVOIDED).await;
        assert!(health.probe_is_due());
        assert!(!health.probe_is_due());
        tokio::time::advance(AVOIDED * 2).await;
        assert!(health.probe_is_due());
        health.answered(milliseconds(1));
        tokio::time::advance(AVOIDED * 100).await;
        assert!(!health.probe_is_due());
    }
}
