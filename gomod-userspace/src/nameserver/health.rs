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
/// So many questions in a row without an answer make a server dead. One that answers seven in ten is taken for it less
/// than once in four hundred times.
const DEAD_AFTER: u32 = 5;
/// If they are so far apart: those of one moment may have got lost together.
const DEAD_FOR: Duration = Duration::from_millis(500);
/// How long a dead server is left alone at least.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// And at most: while the first server is taken for dead, names that only it knows do not exist.
const LONGEST_REST: Duration = Duration::from_secs(8);

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Smoothed round trip and its variation (RFC 6298 section 2).
    round_trip: Option<(Duration, Duration)>,
    /// `None` if the last question was answered.
    silence: Option<Silence>,
}

/// Questions without an answer since the last answer.
#[derive(Clone, Copy, Debug)]
struct Silence {
    questions: u32,
    /// When the first of them should have been answered.
    since: Instant,
    /// When it was noticed last, or the server was last asked whether it is back.
    latest: Instant,
}

impl Silence {
    fn is_death(&self) -> bool {
        self.questions >= DEAD_AFTER && self.latest - self.since >= DEAD_FOR
    }

    /// How long the server is left alone: the longer it is silent, the longer.
    fn rest(&self) -> Duration {
        ((self.latest - self.since) / 2).clamp(SHORTEST_REST, LONGEST_REST)
    }
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
            state.silence = None;
        });
    }

    /// It did not answer within its [`Health::patience`], or can't be reached.
    pub(super) fn silent(&self) {
        let now = Instant::now();
        self.with(|state| {
            let silence = state.silence.get_or_insert(Silence {
                questions: 0,
                since: now,
                latest: now,
            });
            silence.questions += 1;
            silence.latest = now;
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

    /// Whether it has been silent for so long that nobody need wait for it.
    pub(super) fn is_dead(&self) -> bool {
        self.with(|state| state.silence.is_some_and(|silence| silence.is_death()))
    }

    /// Whether it is dead, and it is time to see if it is back; asked again, not before long.
    pub(super) fn probe_is_due(&self) -> bool {
        let now = Instant::now();
        self.with(|state| {
            let dead = state.silence.as_mut().filter(|silence| silence.is_death());
            let due = dead.filter(|silence| now - silence.latest >= silence.rest());
            due.map(|silence| silence.latest = now).is_some()
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
    async fn a_server_is_dead_after_some_questions_and_some_time_and_alive_with_an_answer() {
        let health = Health::default();
        for _ in 0..DEAD_AFTER * 2 {
            health.silent();
        }
        assert!(!health.is_dead(), "they may have got lost together");
        tokio::time::advance(DEAD_FOR).await;
        assert!(!health.is_dead(), "nobody has asked it since");
        health.silent();
        assert!(health.is_dead());
        health.answered(milliseconds(1));
        assert!(!health.is_dead());
        health.silent();
        tokio::time::advance(DEAD_FOR).await;
        health.silent();
        assert!(!health.is_dead(), "two are too few");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_server_is_probed_once_in_a_while() {
        let health = Health::default();
        for _ in 0..DEAD_AFTER {
            health.silent();
            assert!(!health.probe_is_due());
            tokio::time::advance(DEAD_FOR).await;
        }
        assert!(health.is_dead());
        tokio::time::advance(SHORTEST_REST).await;
        assert!(health.probe_is_due());
        assert!(!health.probe_is_due());
        for _ in 0..10 {
            tokio::time::advance(LONGEST_REST).await;
            assert!(health.probe_is_due());
        }
        tokio::time::advance(LONGEST_REST / 2).await;
        assert!(!health.probe_is_due(), "more seldom by now");
        health.answered(milliseconds(1));
        tokio::time::advance(LONGEST_REST).await;
        assert!(!health.probe_is_due());
    }
}
