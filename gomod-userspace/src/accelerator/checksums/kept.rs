// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers of checksum databases: those that are on their way, for whoever asks next, and those that were proven, for
//! the whole run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use crate::accelerator::upstream;

/// Bytes of proven answers that are kept; a tile has 8 KiB at most. Beyond, answers are fetched again.
const KEPT_BYTES: usize = 16 << 20;
/// What is no success, and what nothing proves, is for those who ask within these seconds.
const FRESH: Duration = Duration::from_secs(5);

/// What a database answered, as it came.
#[derive(Clone, Debug)]
pub(in crate::accelerator) struct Answer {
    pub(in crate::accelerator) status: StatusCode,
    pub(in crate::accelerator) headers: HeaderMap,
    pub(in crate::accelerator) body: Bytes,
    pub(in crate::accelerator) account: Arc<upstream::Account>,
    pub(super) at: Instant,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{story}")]
pub(in crate::accelerator) struct Unanswered {
    /// 504 where the deadline passed, 502 otherwise.
    pub(in crate::accelerator) status: StatusCode,
    /// What happened, in plain words.
    pub(in crate::accelerator) story: String,
}

/// An answer that is awaited; `None` until it's there.
pub(super) type Outcome = Option<Result<Arc<Answer>, Unanswered>>;

/// What is asked: the database's key, and the path (with its door, where that matters).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) database: String,
    pub(super) path: String,
}

/// A fetch under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) outcome: watch::Receiver<Outcome>,
    /// It has its turn, so that joining it saves time.
    pub(super) begun: Arc<std::sync::atomic::AtomicBool>,
}

#[derive(Debug, Default)]
struct Inner {
    proven: HashMap<Key, Arc<Answer>>,
    proven_bytes: usize,
    pending: HashMap<Key, Pending>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Inner>);

impl Kept {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn proven(&self, key: &Key) -> Option<Arc<Answer>> {
        self.inner().proven.get(key).cloned()
    }

    /// What is under way, for a request: it's the only one that gets it, until it's proven.
    pub(super) fn claim(&self, key: &Key) -> Option<Pending> {
        let pending = self.inner().pending.remove(key)?;
        let usable = match &*pending.outcome.borrow() {
            None => pending.begun.load(std::sync::atomic::Ordering::Relaxed),
            Some(Ok(answer)) => {
                answer.status == StatusCode::OK && !key.path.ends_with("supported")
                    || answer.at.elapsed() < FRESH
            }
            Some(Err(_)) => false,
        };
        usable.then_some(pending)
    }

    /// What is under way, for a proof; else `begin` makes it.
    pub(super) fn join(&self, key: &Key, begin: impl FnOnce() -> Pending) -> Pending {
        let mut inner = self.inner();
        let pending = inner.pending.entry(key.clone()).or_insert_with(begin);
        pending.clone()
    }

    pub(super) fn forget(&self, key: &Key) {
        self.inner().pending.remove(key);
    }

    /// It was proven: from now on it's for everybody.
    pub(super) fn prove(&self, key: Key, answer: Arc<Answer>) {
        let mut inner = self.inner();
        inner.pending.remove(&key);
        let bytes = answer.body.len();
        if inner.proven_bytes + bytes <= KEPT_BYTES && !inner.proven.contains_key(&key) {
            inner.proven_bytes += bytes;
            inner.proven.insert(key, answer);
        }
    }
}

impl Pending {
    /// Waits for the outcome.
    pub(super) async fn wait(mut self) -> Result<Arc<Answer>, Unanswered> {
        let abandoned = || Unanswered {
            status: StatusCode::BAD_GATEWAY,
            story: "the request to the checksum database was abandoned".to_owned(),
        };
        let outcome = self.outcome.wait_for(Option::is_some).await;
        outcome
            .ok()
            .and_then(|outcome| outcome.clone())
            .unwrap_or_else(|| Err(abandoned()))
    }
}
