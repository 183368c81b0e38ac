// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is fetched before `go` asks for it: many at once, small files first, never in the way of what is awaited.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use url::Url;

use super::Stored;
use crate::accelerator::{
    BodyError, ResponseBody,
    spool::{Spool, SpoolWriter, spool},
    upstream::{Account, Upstream, UpstreamRequest, Urgency, Via},
};
use crate::kernel::events::{FetchedAhead, Source};

/// Bounds of fetching ahead.
#[derive(Clone, Copy, Debug)]
pub struct AheadLimits {
    /// Fetches at once, however far the host is.
    pub at_once: usize,
    /// Fetches at once while it's not known how far the host is, and if it's near: more would only cost handshakes.
    pub at_once_near: usize,
    /// Bytes in all; past it nothing more is begun.
    pub bytes: u64,
}

impl Default for AheadLimits {
    fn default() -> Self {
        Self {
            at_once: 28,
            at_once_near: 8,
            bytes: 2 << 30,
        }
    }
}

/// The head of a response that was fetched ahead.
#[derive(Clone, Debug)]
pub(super) struct AheadHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) account: Arc<Account>,
}

/// How far the head is.
#[derive(Clone, Debug)]
enum State {
    Waiting,
    Head(AheadHead),
    Failed,
}

/// One file.
#[derive(Debug)]
pub(super) struct Fetched {
    state: watch::Receiver<State>,
    spool: Spool,
}

/// What is fetched ahead in this run, by URL.
pub struct Ahead {
    upstream: Upstream,
    stored: Option<Arc<Stored>>,
    limits: AheadLimits,
    permits: Arc<Semaphore>,
    files: Mutex<HashMap<Url, Arc<Fetched>>>,
    begun: AtomicU64,
    used: AtomicU64,
    bytes: AtomicU64,
}

impl Ahead {
    pub(super) fn new(
        upstream: Upstream,
        limits: AheadLimits,
        stored: Option<Arc<Stored>>,
    ) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(at_once(Duration::ZERO, limits)));
        tokio::spawn(widen(upstream.distance(), Arc::clone(&permits), limits));
        Arc::new(Self {
            upstream,
            stored,
            limits,
            permits,
            files: Mutex::default(),
            begun: AtomicU64::new(0),
            used: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    /// Begins to fetch these for one process, in this order and by its way; ones that are known already are passed over.
    /// Inside a tokio runtime.
    pub fn fetch(self: &Arc<Self>, urls: impl IntoIterator<Item = Url>, via: &Via) {
        let mut fresh = Vec::new();
        for url in urls {
            let (sender, state) = watch::channel(State::Waiting);
            let (writer, spool) = spool();
            let fetched = Arc::new(Fetched { state, spool });
            {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                if files.contains_key(&url) {
                    continue;
                }
                files.insert(url.clone(), fetched);
            }
            fresh.push((url, sender, writer));
        }
        tokio::spawn(Arc::clone(self).fetch_in_order(fresh, via.clone()));
    }

    /// Begins one when another ends. A task for each from the start would wait for its turn in the order in which the
    /// runtime's threads came across it: large files would get in before the small ones that `go` waits for.
    async fn fetch_in_order(
        self: Arc<Self>,
        files: Vec<(Url, watch::Sender<State>, SpoolWriter)>,
        via: Via,
    ) {
        for (url, state, writer) in files {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return;
            };
            tokio::spawn(Arc::clone(&self).fetch_one(permit, (url, via.clone()), state, writer));
        }
    }

    /// How much was fetched so far, and what became of it.
    pub fn so_far(&self) -> FetchedAhead {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = files.values().map(|file| file.spool.arrived());
        let (unused, unused_bytes) = arrived
            .filter(|bytes| *bytes > 0)
            .fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        FetchedAhead {
            files: self.begun.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            used: self.used.load(Ordering::Relaxed),
            unused,
            unused_bytes,
        }
    }

    /// The file, if its fetch has begun; it's forgotten here, since `go` keeps it itself. One that still waits for its
    /// turn is forgotten as well: the request fetches it at once.
    pub(super) fn claim(&self, url: &Url) -> Option<(Arc<Fetched>, Source)> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = files.remove(url)?;
        // The task that fetches holds the sender; without a turn it has not begun.
        if !fetched.has_begun() {
            return None;
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        let source = if fetched.spool.length().is_some() {
            Source::Prefetch
        } else {
            Source::Joined
        };
        Some((fetched, source))
    }

    async fn fetch_one(
        self: Arc<Self>,
        _permit: OwnedSemaphorePermit,
        (url, via): (Url, Via),
        state: watch::Sender<State>,
        writer: SpoolWriter,
    ) {
        if let Some(stored) = &self.stored
            && stored.has(&url).await
        {
            self.forget(&url);
            return;
        }
        let Some(spool) = self.begin(&url) else {
            return;
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        let request = UpstreamRequest::get(url.clone())
            .headers(headers())
            .via(via)
            .urgency(Urgency::Speculative);
        let response = match self.upstream.fetch(request).await {
            Ok(response) if response.status == StatusCode::OK => response,
            // What is no success is asked for again when `go` asks: its answer is to be fresh.
            _ => {
                self.forget(&url);
                state.send_replace(State::Failed);
                return;
            }
        };
        let headers = response.headers.clone();
        state.send_replace(State::Head(AheadHead {
            status: response.status,
            headers: response.headers,
            account: response.account,
        }));
        if !self.spool(response.body, writer).await {
            self.forget(&url);
        } else if let Some(stored) = &self.stored {
            stored.keep(&url, &headers, spool);
        }
    }

    /// Marks the fetch as begun, in one step with looking for it: from then on a request joins it instead of asking for
    /// itself. `None` if it was asked for meanwhile, or the limit is reached.
    fn begin(&self, url: &Url) -> Option<Spool> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.load(Ordering::Relaxed) >= self.limits.bytes {
            files.remove(url);
            return None;
        }
        let spool = files.get(url)?.spool.clone();
        spool.begin();
        Some(spool)
    }

    /// True if the body is whole.
    async fn spool(
        &self,
        mut body: crate::accelerator::upstream::UpstreamBody,
        mut writer: SpoolWriter,
    ) -> bool {
        while let Some(frame) = body.frame().await {
            let written = match frame {
                Ok(frame) => frame.into_data().map_or(Ok(()), |data| {
                    self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                    writer.write(data).map_err(|error| error.to_string())
                }),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = written {
                writer.fail(&reason);
                return false;
            }
        }
        writer.finish();
        true
    }

    fn forget(&self, url: &Url) {
        self.files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(url);
    }
}

/// Files a second that are worth more connections: at a round trip of 50 ms it takes 20 to get as many small files.
const WORTHWHILE: f64 = 400.0;

/// Allows as many fetches at once as the distance asks for, as soon as it is known.
async fn widen(
    mut distance: watch::Receiver<Option<Duration>>,
    permits: Arc<Semaphore>,
    limits: AheadLimits,
) {
    let Ok(known) = distance.wait_for(Option::is_some).await else {
        return;
    };
    if let Some(round_trip) = *known {
        permits.add_permits(
            at_once(round_trip, limits).saturating_sub(at_once(Duration::ZERO, limits)),
        );
    }
}

/// How many fetches at once, at this distance.
fn at_once(round_trip: Duration, limits: AheadLimits) -> usize {
    let wanted = (round_trip.as_secs_f64() * WORTHWHILE).ceil() as usize;
    wanted.max(limits.at_once_near).min(limits.at_once).max(1)
}

/// As `go` sends them, so that caches on the way hold one variant of each file.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::USER_AGENT,
        http::HeaderValue::from_static("Go-http-client/1.1"),
    );
    headers
}

impl Fetched {
    fn has_begun(&self) -> bool {
        self.spool.has_begun()
    }

    /// The head, once it is there; `None` if the fetch failed before.
    pub(super) async fn head(&self) -> Option<AheadHead> {
        let mut state = self.state.clone();
        let head = state
            .wait_for(|state| !matches!(state, State::Waiting))
            .await
            .ok()?;
        match &*head {
            State::Head(head) => Some(head.clone()),
            State::Waiting | State::Failed => None,
        }
    }

    /// The body from its start, as it comes.
    pub(super) fn body(&self) -> ResponseBody {
        let reader = self.spool.reader();
        let stream = futures_util::stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(BodyError::from(error)), None)),
            }
        });
        StreamBody::new(stream).boxed_unsync()
    }
}

#[cfg(test)]
mod tests;
