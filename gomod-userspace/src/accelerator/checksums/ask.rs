// SPDX-License-Identifier: MIT OR Apache-2.0
//! One question to a checksum database: at the door that `go` chose, and at its other doors when that one does not
//! answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use url::Url;

use super::{
    Database,
    database::{DoorKind, Question},
    kept::{Answer, Unanswered},
};
use crate::accelerator::{
    asker::Asker,
    upstream::{Upstream, UpstreamRequest, UpstreamResponse, Urgency},
};

/// Real answers have some KiB at most.
const MAX_ANSWER: usize = 1 << 20;

/// How long one waits for a checksum database.
#[derive(Clone, Copy, Debug)]
pub struct ChecksumLimits {
    /// How long the first door has before the next is asked beside it.
    pub patience: Duration,
    /// How long one door has for a record, which the database may have to make first.
    pub lookup: Duration,
    /// How long one door has for all else, which is there already.
    pub other: Duration,
    /// How long a door that did not answer is not asked again, but for want of a better one.
    pub shunned: Duration,
    /// Questions at once that nobody waits for yet.
    pub at_once: usize,
}

impl Default for ChecksumLimits {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(1500),
            lookup: Duration::from_secs(30),
            other: Duration::from_secs(15),
            shunned: Duration::from_secs(20),
            at_once: 16,
        }
    }
}

/// Asks, and remembers which doors are shut.
pub(super) struct Asking {
    pub(super) upstream: Upstream,
    pub(super) limits: ChecksumLimits,
    shut: Mutex<HashMap<Url, Shut>>,
}

/// A door that did not answer.
#[derive(Clone, Debug)]
struct Shut {
    since: Instant,
    why: Unanswered,
    /// Somebody was waiting: it was asked with all patience.
    awaited: bool,
}

impl Asking {
    pub(super) fn new(upstream: Upstream, limits: ChecksumLimits) -> Self {
        Self {
            upstream,
            limits,
            shut: Mutex::default(),
        }
    }

    /// Asks at the doors in this order. The first answer that can be one of the database's wins; without one, what the
    /// first door said or did counts.
    pub(super) async fn ask(
        &self,
        asker: &Asker,
        doors: &[usize],
        path: &str,
        question: &Question,
        urgency: Urgency,
    ) -> Result<Answer, Unanswered> {
        let Some(database) = &asker.database else {
            return Err(Unanswered::nobody());
        };
        let shut = |door: &usize| self.shut(&database.doors[*door].base);
        // With all of them shut, the next who waits finds out anew only if the last who found out did not wait.
        let known = doors.iter().map(shut).collect::<Option<Vec<_>>>();
        if let Some(known) = known.filter(|known| {
            urgency == Urgency::Speculative || known.iter().all(|shut| shut.awaited)
        }) && let Some(first) = known.into_iter().next()
        {
            return Err(first.why);
        }
        // Those that are shut are tried if all others failed; what they answer may still be right.
        let mut waiting: Vec<usize> = doors.to_vec();
        waiting.sort_by_key(|door| shut(door).is_some());
        let mut waiting = VecDeque::from(waiting);
        let mut attempts = JoinSet::new();
        let mut outcomes: HashMap<usize, Result<Answer, Unanswered>> = HashMap::new();
        loop {
            let next = waiting.pop_front();
            if let Some(number) = next
                && let Some(attempt) =
                    self.attempt((asker, database), number, path, question, urgency)
            {
                attempts.spawn(async move { (number, attempt.await) });
            } else if attempts.is_empty() && next.is_none() {
                break;
            }
            let impatient = Instant::now() + self.limits.patience;
            tokio::select! {
                    Some(ended) = attempts.join_next() => {
                        let Ok((number, outcome)) = ended else { continue };
                        let base = &database.doors[number].base;
                        match outcome {
                            Ok(answer) => {
                                self.opened(base);
                                let is_right = answer.status == StatusCode::OK
                                    && database.accepts(question, &answer.body);
                                // A no of the door that `go` chose is an answer: it leads `go` on.
                                let is_no = answer.status.is_client_error()
                                    && doors.first() == Some(&number);
                                if is_right || is_no {
                                    return Ok(answer);
                                }
                                outcomes.insert(number, Ok(answer));
                            }
                            Err(why) => {
                                self.closed(base, &why, urgency);
                                outcomes.insert(number, Err(why));
                            }
                        }
                    }
                    () = sleep_until(impatient), if !waiting.is_empty() => {}
                else => {}
            }
        }
        // What the door of `go` said counts; a word of another one is no answer to what was asked.
        let own = doors.first().and_then(|door| outcomes.remove(door));
        let others = outcomes.into_values().filter_map(Result::err);
        match own {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(why)) => Err(others.fold(why, |all, other| all.and(&other))),
            None => Err(others
                .reduce(|all, other| all.and(&other))
                .unwrap_or_else(Unanswered::nobody)),
        }
    }

    /// `None` where the question makes no sense at that door.
    fn attempt(
        &self,
        (asker, database): (&Asker, &Database),
        number: usize,
        path: &str,
        question: &Question,
        urgency: Urgency,
    ) -> Option<impl Future<Output = Result<Answer, Unanswered>> + Send + 'static> {
        let door = &database.doors[number];
        // That a database's own host serves the database is shown by a signed tree.
        let instead = *question == Question::Supported && door.kind == DoorKind::Own;
        let url = door.base.join(if instead { "latest" } else { path }).ok()?;
        let limit = match question {
            Question::Lookup(_) => self.limits.lookup,
            _ => self.limits.other,
        };
        let request = UpstreamRequest::get(url)
            .headers(headers())
            .via(asker.via.clone())
            .urgency(urgency);
        let (upstream, database) = (self.upstream.clone(), database.clone());
        let host = door.base.host_str().unwrap_or_default().to_owned();
        Some(async move {
            let fetched = timeout(limit, async {
                collect(upstream.fetch(request).await.map_err(Unanswered::from)?).await
            });
            let late = |_| Unanswered {
                status: StatusCode::GATEWAY_TIMEOUT,
                story: format!(
                    "{host} did not answer for the checksum database within {:.0} s",
                    limit.as_secs_f64()
                ),
            };
            let mut answer = fetched.await.map_err(late)??;
            if instead {
                if !database.accepts(&Question::Latest, &answer.body) {
                    return Err(Unanswered {
                        status: StatusCode::BAD_GATEWAY,
                        story: format!("{host} gave no signed tree of the checksum database"),
                    });
                }
                answer.body = Bytes::new();
            }
            Ok(answer)
        })
    }

    fn shut(&self, base: &Url) -> Option<Shut> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shut.get(base)?;
        (known.since.elapsed() < self.limits.shunned).then(|| known.clone())
    }

    fn opened(&self, base: &Url) {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        shut.remove(base);
    }

    fn closed(&self, base: &Url, why: &Unanswered, urgency: Urgency) {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Shut {
            since: Instant::now(),
            why: why.clone(),
            awaited: urgency == Urgency::Awaited,
        };
        shut.insert(base.clone(), entry);
    }
}

impl Unanswered {
    fn nobody() -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            story: "the checksum database could not be asked".to_owned(),
        }
    }

    fn and(self, other: &Self) -> Self {
        let Self { status, story } = self;
        let story = format!("{story}; and {}", other.story);
        Self { status, story }
    }
}

impl From<crate::accelerator::upstream::UpstreamError> for Unanswered {
    fn from(error: crate::accelerator::upstream::UpstreamError) -> Self {
        Self {
            status: error.status(),
            story: error.story,
        }
    }
}

async fn collect(mut response: UpstreamResponse) -> Result<Answer, Unanswered> {
    let mut body = BytesMut::new();
    while let Some(frame) = response.body.frame().await {
        let data = frame
            .map_err(Unanswered::from)?
            .into_data()
            .unwrap_or_default();
        body.extend_from_slice(&data);
        if body.len() > MAX_ANSWER {
            let host = response.url.host_str().unwrap_or_default();
            return Err(Unanswered {
                status: StatusCode::BAD_GATEWAY,
                story: format!(
                    "{host} answered for the checksum database with more than {MAX_ANSWER} bytes"
                ),
            });
        }
    }
    Ok(Answer {
        status: response.status,
        headers: response.headers,
        body: body.freeze(),
        account: Arc::clone(&response.account),
        at: Instant::now(),
    })
}

/// As `go` sends them.
fn headers() -> HeaderMap {
    let agent = HeaderValue::from_static("Go-http-client/1.1");
    HeaderMap::from_iter([(header::USER_AGENT, agent)])
}
