// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names kept warm: asked for before anybody asks, and again before the answer ends.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::question::Question;
use super::resolver::Resolver;

/// A name is not asked for more often, however short its answers hold.
const SHORTEST: Duration = Duration::from_secs(4);
/// Nor less often: resolv.conf may have changed, and with it who is asked.
const LONGEST: Duration = Duration::from_secs(60);
/// The least time before the end of an answer at which it is asked for again.
const AHEAD: Duration = Duration::from_secs(2);
/// After silence, or an answer that must not be kept.
const AGAIN: Duration = Duration::from_secs(30);

/// The names kept warm. Dropped, they cool.
#[derive(Debug)]
pub(super) struct Prewarm {
    warm: Mutex<Warm>,
    most: usize,
}

#[derive(Debug, Default)]
struct Warm {
    names: HashSet<String>,
    tasks: JoinSet<()>,
    over: bool,
}

impl Prewarm {
    /// Keeps at most so many names warm.
    pub(super) fn new(most: usize) -> Self {
        Self {
            warm: Mutex::default(),
            most,
        }
    }

    /// Keeps `name` warm from now on, A and AAAA. One name too many is left to be asked for when it is needed.
    pub(super) fn add(&self, resolver: &Arc<Resolver>, name: &str) {
        let questions = [RecordType::A, RecordType::AAAA].map(|kind| Question::new(name, kind));
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.over
            || warm.names.len() >= self.most
            || !warm.names.insert(name.to_ascii_lowercase())
        {
            return;
        }
        for question in questions.into_iter().flatten() {
            warm.tasks.spawn(keep(Arc::clone(resolver), question));
        }
    }

    /// No name is kept warm any longer.
    pub(super) fn end(&self) {
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.over = true;
        warm.tasks.abort_all();
    }
}

async fn keep(resolver: Arc<Resolver>, question: Question) {
    loop {
        // Whoever is asked now: resolv.conf may have changed.
        let group = resolver.group();
        let fetched = resolver.refresh(&group, &question).await;
        let ends = fetched.and_then(|kept| kept.ends());
        let pause = match ends {
            Some(ends) => before(ends.saturating_duration_since(Instant::now())),
            None => AGAIN,
        };
        sleep(pause).await;
    }
}

/// How long to wait until an answer that holds for `left` is asked for again.
fn before(left: Duration) -> Duration {
    left.saturating_sub(AHEAD.max(left / 10))
        .clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_renewed_before_it_ends_but_nobody_is_pestered() {
        let seconds = Duration::from_secs;
        assert_eq!(before(seconds(30)), seconds(27));
        assert_eq!(before(seconds(10)), seconds(8));
        assert_eq!(before(seconds(1)), SHORTEST);
        assert_eq!(before(seconds(86400)), LONGEST);
    }
}
