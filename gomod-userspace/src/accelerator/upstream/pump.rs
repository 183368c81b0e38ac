// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries a body from its host to whoever reads it, and continues it where it breaks off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crc32fast::Hasher;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;
use super::account::Account;
use super::attempt::{Head, Lease};
use super::deadlines::Phase;
use super::dial::late;
use super::entity::{Continuation, Entity};
use super::error::{FailureKind, UpstreamError};
use super::follow::follow;
use super::request::UpstreamRequest;

/// Requests for one head while a body is continued: the body's own retries come on top.
const HEAD_ATTEMPTS: u32 = 2;

/// How long a response may go on after the last byte of the file, for its connection to be used again.
const END: Duration = Duration::from_millis(100);

/// Where the bytes go. Bounded: a slow reader slows the host down.
pub(super) type Sink = mpsc::Sender<Result<Bytes, UpstreamError>>;

/// A response whose bytes are to come.
pub(super) struct Source {
    pub(super) body: Incoming,
    pub(super) lease: Lease,
}

/// A body on its way.
pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    pub(super) request: UpstreamRequest,
    pub(super) account: Arc<Account>,
    pub(super) sink: Sink,
    /// What the body can be continued by; `None` if it can't be: an error's text, or a part that the client asked for.
    pub(super) entity: Option<Entity>,
    progress: Progress,
}

/// How far the body has got.
struct Progress {
    length: Option<u64>,
    forwarded: u64,
    /// Of what was handed on: it tells a file that changed meanwhile from the same one, at a tenth of the cost of a
    /// cryptographic hash. It need not resist intent: who sends the rest of a file could have sent all of it.
    prefix: Hasher,
    ranges: bool,
}

/// How one response's part of the body ended.
enum Ending {
    /// The body is whole, or nobody reads any more.
    Over,
    /// It broke off.
    Broken(UpstreamError),
    /// It's not the same file.
    Different(UpstreamError),
}

/// What of a response has been received already: it's compared instead of handed on.
struct Repeated {
    left: u64,
    seen: Hasher,
}

impl Pump {
    pub(super) fn new(
        shared: Arc<Shared>,
        request: UpstreamRequest,
        account: Arc<Account>,
        sink: Sink,
        length: Option<u64>,
        entity: Option<Entity>,
    ) -> Self {
        let progress = Progress {
            length,
            forwarded: 0,
            prefix: Hasher::new(),
            ranges: true,
        };
        Self {
            shared,
            request,
            account,
            sink,
            entity,
            progress,
        }
    }

    /// Carries the body to its end. What can't be completed ends with an error in the sink.
    pub(super) async fn run(mut self, first: Source) {
        let mut source = (first, None);
        let (mut fruitless, mut resumes) = (0, 0);
        loop {
            let before = self.progress.forwarded;
            let (Source { body, lease }, repeated) = source;
            let broken = match self.forward(body, lease, repeated).await {
                Ending::Over => return,
                Ending::Different(error) => return self.fail(error).await,
                Ending::Broken(error) => error,
            };
            if self.progress.forwarded > before {
                fruitless = 0;
            }
            let retries = &self.shared.retries;
            let mut last = broken;
            source = loop {
                if self.entity.is_none() {
                    return self.fail(last).await;
                }
                if fruitless >= retries.fruitless || resumes >= retries.resumes {
                    let story = format!(
                        "{last}; gave up after {resumes} requests for the rest of the body"
                    );
                    return self.fail(UpstreamError { story, ..last }).await;
                }
                if fruitless > 0 {
                    tokio::time::sleep(retries.pause(fruitless - 1)).await;
                }
                fruitless += 1;
                resumes += 1;
                let continued = tokio::select! {
                    () = self.sink.closed() => return,
                    continued = self.shared.clone().again(&self.request, &self.account, self.entity.as_ref(), &mut self.progress) => continued,
                };
                match continued {
                    Ok(continued) => break continued,
                    Err(error) if error.again => last = error,
                    Err(error) => return self.fail(error).await,
                }
            };
        }
    }

    async fn fail(&self, error: UpstreamError) {
        tracing::debug!(
            host = self.request.url.host_str(),
            "a body ends short: {error}"
        );
        // Nobody reads any more: nobody needs to know.
        let _unwanted = self.sink.send(Err(error)).await;
    }

    /// Hands on what `body` brings.
    async fn forward(
        &mut self,
        mut body: Incoming,
        lease: Lease,
        mut repeated: Option<Repeated>,
    ) -> Ending {
        let host = self.request.url.host_str().unwrap_or_default().to_owned();
        // Once a response: a body has thousands of frames, and the host's steadiness is sorted out of all its samples.
        let limit = self.silence(&lease);
        loop {
            let frame = tokio::select! {
                () = self.sink.closed() => return Ending::Over,
                frame = timeout(limit, body.frame()) => frame,
            };
            let data = match frame {
                Err(_) => {
                    self.shared.connector.book.failed(lease.remote());
                    let whom = format!(
                        "{host} ({}) after {} bytes",
                        lease.remote(),
                        self.progress.forwarded
                    );
                    return Ending::Broken(late(Phase::BetweenBytes, whom, limit));
                }
                Ok(Some(Err(error))) => {
                    return Ending::Broken(UpstreamError::exchange(&host, lease.remote(), &error));
                }
                Ok(None) => {
                    let ending = self.ended(&host, repeated.is_some());
                    if matches!(ending, Ending::Over) {
                        lease.give_back().await;
                    }
                    return ending;
                }
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            let fresh = match &mut repeated {
                None => data,
                Some(known) => match known.compare(data, &self.progress.prefix) {
                    Ok((compared, fresh)) => {
                        self.account.refetched(compared);
                        if known.left == 0 {
                            repeated = None;
                        }
                        fresh
                    }
                    Err(()) => return Ending::Different(changed(&host)),
                },
            };
            if fresh.is_empty() {
                continue;
            }
            let after = self.progress.forwarded + fresh.len() as u64;
            if self.progress.length.is_some_and(|length| after > length) {
                return Ending::Different(changed(&host));
            }
            self.progress.prefix.update(&fresh);
            self.progress.forwarded = after;
            self.account.handed_on(fresh.len() as u64);
            if self.progress.length == Some(after) {
                // The reader is given the end only when the connection is there for its next request.
                if let Ok(None) = timeout(END, body.frame()).await {
                    lease.give_back().await;
                }
                let _unwanted = self.sink.send(Ok(fresh)).await;
                return Ending::Over;
            }
            if self.sink.send(Ok(fresh)).await.is_err() {
                return Ending::Over;
            }
        }
    }

    /// How long the body may pause.
    fn silence(&self, lease: &Lease) -> Duration {
        self.shared
            .connector
            .deadlines
            .of(Phase::BetweenBytes, lease.host().history().unsteadiness())
    }

    /// What the end of a response means.
    fn ended(&self, host: &str, inside_repeated: bool) -> Ending {
        match self.progress.length {
            _ if inside_repeated => Ending::Different(changed(host)),
            Some(length) if self.progress.forwarded < length => {
                Ending::Broken(UpstreamError::passing(
                    FailureKind::Cut,
                    format!(
                        "{host}: the body ended after {} of {length} bytes",
                        self.progress.forwarded
                    ),
                ))
            }
            _ => Ending::Over,
        }
    }
}

fn changed(host: &str) -> UpstreamError {
    UpstreamError::lasting(
        FailureKind::Changed,
        format!(
            "{host}: the file changed while it was being fetched, so it can't be continued; ask for it again"
        ),
    )
}

impl Repeated {
    /// Compares the repeated part of `data`: how many bytes that was, and what is new after it. An error if it differs
    /// from what was received before.
    fn compare(&mut self, mut data: Bytes, prefix: &Hasher) -> Result<(u64, Bytes), ()> {
        let compared = self.left.min(data.len() as u64);
        let fresh = data.split_off(compared as usize);
        self.seen.update(&data);
        self.left -= compared;
        if self.left == 0 && self.seen.clone().finalize() != prefix.clone().finalize() {
            return Err(());
        }
        Ok((compared, fresh))
    }
}

impl Shared {
    /// Asks for the rest of a body: from where it broke off if the host can prove that it's the same file, else from
    /// the start.
    async fn again(
        self: Arc<Self>,
        request: &UpstreamRequest,
        account: &Account,
        entity: Option<&Entity>,
        progress: &mut Progress,
    ) -> Result<(Source, Option<Repeated>), UpstreamError> {
        let host = request.url.host_str().unwrap_or_default();
        let offset = progress.forwarded;
        let mut headers = request.headers.clone();
        let validator = entity
            .and_then(Entity::validator)
            .filter(|_| progress.ranges && offset > 0);
        if let Some(validator) = validator {
            let range = HeaderValue::try_from(format!("bytes={offset}-"))
                .map_err(|error| UpstreamError::lasting(FailureKind::Request, error.to_string()))?;
            headers.insert(header::RANGE, range);
            headers.insert(header::IF_RANGE, validator.clone());
        }
        let (head, _) = follow(&self, request, headers, HEAD_ATTEMPTS, account).await?;
        let continuation = entity.map_or(Continuation::Nothing, |entity| {
            entity.continued_by(head.status, &head.headers, offset)
        });
        let source = |head: Head| Source {
            body: head.body,
            lease: head.lease,
        };
        match continuation {
            Continuation::Here(length) if validator.is_some() => {
                progress.length = length;
                account.continued(offset);
                Ok((source(head), None))
            }
            Continuation::FromStart => {
                account.restarted();
                let repeated = (offset > 0).then(|| Repeated {
                    left: offset,
                    seen: Hasher::new(),
                });
                Ok((source(head), repeated))
            }
            Continuation::Changed => Err(changed(host)),
            Continuation::WrongPart | Continuation::Here(_) => {
                progress.ranges = false;
                Err(UpstreamError::passing(
                    FailureKind::Protocol,
                    format!("{host} sent another part of the file than was asked for"),
                ))
            }
            Continuation::Nothing => {
                let status = head.status;
                head.discard();
                progress.ranges &= status != http::StatusCode::RANGE_NOT_SATISFIABLE;
                Err(UpstreamError::passing(
                    FailureKind::Cut,
                    format!(
                        "{host} answered {status} when asked for the rest of the body after {offset} bytes"
                    ),
                ))
            }
        }
    }
}

/// Whether a client's request may be continued: not if it asked for a part, or on conditions, itself.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    ![
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

/// The data of a frame, for the reader.
pub(super) fn frame(data: Result<Bytes, UpstreamError>) -> Result<Frame<Bytes>, UpstreamError> {
    data.map(Frame::data)
}
