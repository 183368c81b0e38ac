// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers, as long as they hold and a little longer; the least recently used ones make room.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use tokio::time::Instant;

use super::answer::{Age, Answer};
use super::question::{Key, Question};
use super::race::{Outcome, Standing};

/// How long beyond its end an answer may still be given while all nameservers are silent.
pub(super) const STALE: Duration = Duration::from_secs(30);
/// The longest that a provisional "there is none" is kept: as soon as the first server speaks again, its word is to
/// count. Go and glibc wait for it as long as this before they ask another, so that nobody hears of the name later than
/// without us. Kept not at all, it would cost a question each time that `go` asks for AAAA of a host that has none, as long
/// as the first server is dead.
const PROVISIONAL: Duration = Duration::from_secs(5);
/// What an entry takes beside its bytes: the maps and lists that it is in.
const OVERHEAD: usize = 320;

/// An answer and when it came.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) answer: Answer,
    standing: Standing,
    /// Whether it was fetched before anybody asked.
    pub(super) prewarmed: bool,
    /// What the network took.
    pub(super) fetched_in: Duration,
    came: Instant,
    /// `None` if it is good for those who wait for it, and nobody later.
    ends: Option<Instant>,
}

/// The answers. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    kept: moka::sync::Cache<(u32, Key), Arc<Kept>>,
}

impl Kept {
    /// It comes just now.
    pub(super) fn new(outcome: Outcome, prewarmed: bool, fetched_in: Duration) -> Self {
        let came = Instant::now();
        let Outcome { answer, standing } = outcome;
        let longest = match standing {
            Standing::Final => Duration::MAX,
            Standing::Provisional => PROVISIONAL,
        };
        Self {
            ends: answer
                .lifetime()
                .map(|lifetime| came + lifetime.min(longest)),
            answer,
            standing,
            prewarmed,
            fetched_in,
            came,
        }
    }

    /// How old it is; `None` once it has expired.
    pub(super) fn age(&self, now: Instant) -> Option<Age> {
        let holds = self.ends.is_some_and(|ends| now < ends);
        let age = now.saturating_duration_since(self.came);
        holds.then_some(Age::Seconds(age.as_secs() as u32))
    }

    /// Whether one said it in another's place.
    pub(super) fn is_provisional(&self) -> bool {
        self.standing == Standing::Provisional
    }

    /// Whether it has expired, but not for too long. What was provisional is no better than none then.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.standing == Standing::Final
            && self
                .ends
                .is_some_and(|ends| now >= ends && now < ends + STALE)
    }

    /// When it ends, if it was kept at all.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        let kept = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|(_, key): &(u32, Key), kept: &Arc<Kept>| {
                u32::try_from(key.len() + kept.answer.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { kept }
    }

    /// What is known for `question` among the nameservers of `generation`, expired or not.
    pub(super) fn get(&self, generation: u32, question: &Question) -> Option<Arc<Kept>> {
        let key = question.key()?;
        if let Some(kept) = self.kept.get(&(generation, key.clone())) {
            return Some(kept);
        }
        self.kept
            .get(&(generation, key.with_edns()?))
            .filter(|kept| kept.answer.fits_without_edns())
    }

    /// Keeps it, if it may be kept. What is provisional does not take the place of what is not and may still be given.
    pub(super) fn put(&self, generation: u32, key: &Key, kept: &Arc<Kept>) {
        let key = (generation, key.clone());
        let now = Instant::now();
        let better = |other: &Kept| {
            kept.standing == Standing::Provisional
                && other.standing == Standing::Final
                && (other.age(now).is_some() || other.is_stale(now))
        };
        if kept.ends.is_some() && !self.kept.get(&key).is_some_and(|other| better(&other)) {
            self.kept.insert(key, Arc::clone(kept));
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer_to, question};
    use super::*;

    fn kept(question: &Question, ttl: u32) -> Kept {
        with_standing(question, ttl, Standing::Final)
    }

    fn with_standing(question: &Question, ttl: u32, standing: Standing) -> Kept {
        let answer = answer_to(question, ttl, 1);
        Kept::new(Outcome { answer, standing }, false, Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ages_expires_and_is_stale_for_half_a_minute() {
        let question = question("proxy.example", true);
        let kept = kept(&question, 60);
        let began = Instant::now();
        assert_eq!(kept.age(began), Some(Age::Seconds(0)));
        assert_eq!(
            kept.age(began + Duration::from_millis(59_999)),
            Some(Age::Seconds(59))
        );
        assert!(!kept.is_stale(began + Duration::from_secs(59)));
        assert_eq!(kept.age(began + Duration::from_secs(60)), None);
        assert!(kept.is_stale(began + Duration::from_secs(89)));
        assert!(!kept.is_stale(began + Duration::from_secs(90)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_provisional_is_kept_briefly_and_never_stale() {
        let question = question("proxy.example", true);
        let provisional = |ttl| with_standing(&question, ttl, Standing::Provisional);
        let began = Instant::now();
        let long = provisional(300);
        let last = began + PROVISIONAL - Duration::from_millis(1);
        assert_eq!(long.age(last), Some(Age::Seconds(4)));
        assert_eq!(long.age(began + PROVISIONAL), None);
        assert!(!long.is_stale(began + PROVISIONAL));
        assert_eq!(provisional(2).age(began + Duration::from_secs(2)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_provisional_does_not_displace_what_may_still_be_given() {
        let question = question("proxy.example", true);
        let key = question.key().unwrap();
        let cache = Cache::new(1 << 20);
        let provisional = || Arc::new(with_standing(&question, 300, Standing::Provisional));
        let standing = || cache.get(1, &question).unwrap().standing;
        cache.put(1, key, &provisional());
        assert_eq!(standing(), Standing::Provisional);
        cache.put(1, key, &Arc::new(kept(&question, 60)));
        for seconds in [0, 60, 29] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            cache.put(1, key, &provisional());
            assert_eq!(
                standing(),
                Standing::Final,
                "expired, it may still be given"
            );
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        cache.put(1, key, &provisional());
        assert_eq!(standing(), Standing::Provisional);
    }

    #[tokio::test]
    async fn other_nameservers_answers_are_not_mixed() {
        let cache = Cache::new(1 << 20);
        let question = question("proxy.example", true);
        let kept = Arc::new(kept(&question, 60));
        cache.put(1, question.key().unwrap(), &kept);
        assert!(cache.get(1, &question).is_some());
        assert!(cache.get(2, &question).is_none());
    }

    #[tokio::test]
    async fn a_client_without_edns_gets_what_one_with_edns_was_told_and_not_the_reverse() {
        let cache = Cache::new(1 << 20);
        let (with, without) = (
            question("one.example", true),
            question("one.example", false),
        );
        let keep = |question| Arc::new(kept(question, 60));
        cache.put(1, with.key().unwrap(), &keep(&with));
        assert!(cache.get(1, &without).is_some());
        let (with, without) = (
            question("two.example", true),
            question("two.example", false),
        );
        cache.put(1, without.key().unwrap(), &keep(&without));
        assert!(cache.get(1, &with).is_none());
    }

    #[tokio::test]
    async fn what_must_not_be_kept_is_not_and_memory_is_bounded() {
        let bytes = 64 << 10;
        let cache = Cache::new(bytes);
        let none = question("none.example", true);
        cache.put(1, none.key().unwrap(), &Arc::new(kept(&none, 0)));
        assert!(cache.get(1, &none).is_none());
        for number in 0..2000 {
            let question = question(&format!("n{number}.example"), true);
            let kept = Arc::new(kept(&question, 60));
            cache.put(1, question.key().unwrap(), &kept);
        }
        assert!(
            (bytes / 2..=bytes).contains(&cache.bytes()),
            "{}",
            cache.bytes()
        );
        assert!(cache.get(1, &question("n1999.example", true)).is_some());
        assert!(cache.get(1, &question("n0.example", true)).is_none());
    }
}
