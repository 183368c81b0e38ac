// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a question to its answer: kept, on its way already, or asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::answer::Age;
use super::cache::{Cache, Kept};
use super::question::{Key, Question};
use super::race::race;
use super::server::{Asker, Group};
use super::telling::Teller;
use super::told::AnswerSource;

/// Silence for so long makes an expired answer better than none: less than anybody notices, and time for the
/// nameservers to be asked more than once.
const STALE_AFTER: Duration = Duration::from_millis(400);

/// Answers questions. Shared by endpoints, prewarming and our own lookups.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) teller: Teller,
    pub(super) counters: Counters,
    cache: Cache,
    flights: Mutex<HashMap<(u32, Key), Flight>>,
    /// The most questions on their way.
    max_flights: usize,
    /// The nameservers of the newest list.
    group: RwLock<Arc<Group>>,
}

/// Figures since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// An answer for one client.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) kept: Arc<Kept>,
    pub(super) age: Age,
    pub(super) source: AnswerSource,
}

/// A question on its way, which anybody may wait for.
#[derive(Clone, Debug)]
struct Flight {
    began: Instant,
    progress: watch::Receiver<Progress>,
}

#[derive(Clone, Debug)]
enum Progress {
    /// Nobody said anything yet.
    Silence,
    /// A nameserver spoke, but did not know.
    Spoken,
    /// It is over; `None` if nobody spoke.
    Over(Option<Arc<Kept>>),
}

impl Resolver {
    pub(super) fn new(group: Group, teller: Teller, cache_bytes: u64, max_flights: usize) -> Self {
        Self {
            teller,
            counters: Counters::default(),
            cache: Cache::new(cache_bytes),
            flights: Mutex::default(),
            max_flights,
            group: RwLock::new(Arc::new(group)),
        }
    }

    /// The nameservers of the newest list.
    pub(super) fn group(&self) -> Arc<Group> {
        Arc::clone(&self.group.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these are the newest.
    pub(super) fn set_group(&self, group: Arc<Group>) {
        *self.group.write().unwrap_or_else(PoisonError::into_inner) = group;
    }

    pub(super) fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// What is known and holds.
    pub(super) fn known(&self, group: &Group, question: &Question) -> Option<Resolved> {
        let kept = self.cache.get(group.generation, question)?;
        let age = kept.age(Instant::now())?;
        let source = if kept.prewarmed {
            AnswerSource::Prewarmed
        } else {
            AnswerSource::Cache
        };
        Some(Resolved { kept, age, source })
    }

    /// The answer; `None` if no nameserver gave one for as long as anybody waits.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        group: &Arc<Group>,
        question: &Question,
    ) -> Option<Resolved> {
        if let Some(known) = self.known(group, question) {
            return Some(known);
        }
        let Some(key) = question.key() else {
            let fetched = self.fetch(group, question, false, || ()).await?;
            return Some(Resolved::new(fetched));
        };
        let mut flight = self.flight(group, key, question, false)?;
        let expired = self
            .cache
            .get(group.generation, question)
            .filter(|kept| kept.is_stale(Instant::now()));
        let Some(expired) = expired else {
            return flight.landed().await.map(Resolved::new);
        };
        // As soon as a nameserver speaks, it is its word that counts; unless it only stands in for one that has said more.
        let patience = flight.began + STALE_AFTER;
        let (said, in_place) = match timeout_at(patience, flight.heard()).await {
            Ok(()) => flight.landed().await,
            Err(_) => None,
        }
        .map_or((None, None), |kept| {
            if kept.is_provisional() {
                (None, Some(kept))
            } else {
                (Some(kept), None)
            }
        });
        let stale = || {
            expired.is_stale(Instant::now()).then_some(Resolved {
                kept: expired,
                age: Age::Stale,
                source: AnswerSource::Stale,
            })
        };
        said.map(Resolved::new)
            .or_else(stale)
            .or(in_place.map(Resolved::new))
    }

    /// Asks for it although it may be known, before anybody else does.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        group: &Arc<Group>,
        question: &Question,
    ) -> Option<Arc<Kept>> {
        self.flight(group, question.key()?, question, true)?
            .landed()
            .await
    }

    /// Joins the question on its way, or sends it off. `None` if too many are.
    fn flight(
        self: &Arc<Self>,
        group: &Arc<Group>,
        key: &Key,
        question: &Question,
        prewarm: bool,
    ) -> Option<Flight> {
        let key = (group.generation, key.clone());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return Some(flight.clone());
        }
        if flights.len() >= self.max_flights {
            return None;
        }
        let (progress, receiver) = watch::channel(Progress::Silence);
        let flight = Flight {
            began: Instant::now(),
            progress: receiver,
        };
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        let landing = Landing {
            resolver: Arc::clone(self),
            key,
            progress,
        };
        let (group, question) = (Arc::clone(group), question.clone());
        tokio::spawn(async move {
            let progress = &landing.progress;
            let fetched = landing
                .resolver
                .fetch(&group, &question, prewarm, || {
                    progress.send_replace(Progress::Spoken);
                })
                .await;
            if let Some(kept) = &fetched {
                let (generation, key) = &landing.key;
                landing.resolver.cache.put(*generation, key, kept);
            }
            progress.send_replace(Progress::Over(fetched));
        });
        Some(flight)
    }

    async fn fetch(
        &self,
        group: &Group,
        question: &Question,
        prewarm: bool,
        spoke: impl FnMut(),
    ) -> Option<Arc<Kept>> {
        let began = Instant::now();
        let asker = Arc::new(Asker::new(self.teller.clone(), question));
        let outcome = race(group, question, &asker, spoke).await?;
        Some(Arc::new(Kept::new(outcome, prewarm, began.elapsed())))
    }
}

impl Counters {
    pub(super) fn count(&self, source: AnswerSource) {
        let counter = match source {
            AnswerSource::Network => &self.misses,
            AnswerSource::Cache | AnswerSource::Prewarmed => &self.hits,
            AnswerSource::Stale => &self.stale,
        };
        Self::one(counter);
    }

    pub(super) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Resolved {
    /// It came while it was waited for.
    fn new(kept: Arc<Kept>) -> Self {
        Self {
            kept,
            age: Age::New,
            source: AnswerSource::Network,
        }
    }
}

impl Flight {
    /// Somebody spoke, or will no more.
    async fn heard(&mut self) {
        let heard =
            |progress: &Progress| matches!(progress, Progress::Spoken | Progress::Over(Some(_)));
        // Over without a word: that is silence still.
        let nobody = self.progress.wait_for(heard).await.is_err();
        if nobody {
            std::future::pending::<()>().await;
        }
    }

    async fn landed(&mut self) -> Option<Arc<Kept>> {
        let over = |progress: &Progress| matches!(progress, Progress::Over(_));
        match &*self.progress.wait_for(over).await.ok()? {
            Progress::Over(kept) => kept.clone(),
            Progress::Silence | Progress::Spoken => None,
        }
    }
}

/// Takes a flight off the list when it is over, however it ends.
struct Landing {
    resolver: Arc<Resolver>,
    key: (u32, Key),
    progress: watch::Sender<Progress>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.resolver
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
