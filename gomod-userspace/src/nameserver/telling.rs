// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the timeline learns what the stub did, without the stub's waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::told::Told;

/// How long what is told gathers before it is read again: to wake the reader takes longer than to answer.
const GATHER: Duration = Duration::from_millis(5);
/// Most things read in one go.
const BATCH: usize = 1024;

/// The sending end: never waits, and counts what found no room.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    sender: mpsc::Sender<Told>,
    lost: Arc<AtomicU64>,
}

/// What the stub did, in the order in which it did it.
#[derive(Debug)]
pub struct Account {
    told: mpsc::Receiver<Told>,
    /// When it is worth looking again.
    next_look: Option<Instant>,
}

impl Teller {
    pub(super) fn new(capacity: usize) -> (Self, Account) {
        let (sender, told) = mpsc::channel(capacity.max(1));
        let lost = Arc::default();
        let account = Account {
            told,
            next_look: None,
        };
        (Self { sender, lost }, account)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Makes the record only if there is room for it.
    pub(super) fn tell(&self, told: impl FnOnce() -> Told) {
        match self.sender.try_reserve() {
            Ok(room) => room.send(told()),
            Err(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Account {
    /// What was done since the last call, at most some milliseconds late. Empty if nothing will be told any more. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Vec<Told> {
        if let Some(at) = self.next_look {
            // Nobody is waiting meanwhile, so that nobody has to be woken.
            sleep_until(at).await;
        }
        let mut told = Vec::new();
        let count = self.told.recv_many(&mut told, BATCH).await;
        self.next_look = (count < BATCH).then(|| Instant::now() + GATHER);
        told
    }

    /// What was done since, without waiting.
    pub fn rest(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Ok(one) = self.told.try_recv() {
            told.push(one);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::{ExchangeOutcome, Exchanged, UpstreamTransport, now};
    use super::*;

    fn exchanged(attempt: u32) -> Told {
        Told::Exchanged(Exchanged {
            server: "127.0.0.53:53".to_owned(),
            transport: UpstreamTransport::Udp,
            name: "example.org".to_owned(),
            qtype: "A".to_owned(),
            attempt,
            sent_at: now(),
            outcome: ExchangeOutcome::Silent {
                waited: Duration::from_secs(1),
                given_up: true,
            },
        })
    }

    fn attempts(told: &[Told]) -> Vec<u32> {
        let attempt = |told: &Told| match told {
            Told::Exchanged(exchanged) => exchanged.attempt,
            Told::Answered(_) => panic!("{told:?}"),
        };
        told.iter().map(attempt).collect()
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let (teller, mut account) = Teller::new(1);
        for attempt in 1..=3 {
            teller.tell(|| exchanged(attempt));
        }
        assert_eq!(teller.lost(), 2);
        assert_eq!(attempts(&account.rest()), [1]);
        assert_eq!(account.rest(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_gathers_and_comes_in_order() {
        let (teller, mut account) = Teller::new(100);
        teller.tell(|| exchanged(1));
        let began = Instant::now();
        assert_eq!(attempts(&account.next().await), [1]);
        assert_eq!(
            began.elapsed(),
            Duration::ZERO,
            "the first is not kept back"
        );
        for attempt in 2..=4 {
            teller.tell(|| exchanged(attempt));
        }
        assert_eq!(attempts(&account.next().await), [2, 3, 4]);
        assert!(began.elapsed() >= GATHER);
        drop(teller);
        assert_eq!(account.next().await, []);
    }
}
