// SPDX-License-Identifier: MIT OR Apache-2.0
//! The account of one request, told when its answer has ended.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::{
    accelerator::{BodyError, ResponseBody, Session, upstream},
    kernel::{
        self,
        events::{Answered, Event, EventKind, Pid, Source},
    },
};

/// Where accounts go: never waits, and counts what found no room.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    sender: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl Teller {
    pub(super) fn new(capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let lost = Arc::default();
        (Self { sender, lost }, receiver)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn tell(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Shared by those who work on an answer; tells of it when the last one lets go.
#[derive(Clone, Debug)]
pub(super) struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    teller: Teller,
}

#[derive(Debug)]
struct State {
    pid: Pid,
    answered: Answered,
    /// What the head promised.
    length: Option<u64>,
    upstream: Option<Arc<upstream::Account>>,
}

impl Account {
    pub(super) fn begin(session: &Session, path: &str, teller: Teller) -> Self {
        let answered = Answered {
            cookie: session.origin.cookie,
            host: session.host.clone(),
            path: path.to_owned(),
            status: None,
            bytes: 0,
            source: Source::Upstream,
            attempts: 0,
            resumed: 0,
            resumed_bytes: 0,
            began: kernel::now(),
            first_byte: None,
            whole: false,
        };
        let state = Mutex::new(State {
            pid: session.origin.pid,
            answered,
            length: None,
            upstream: None,
        });
        Self(Arc::new(Inner { state, teller }))
    }

    /// The head of the answer is there.
    pub(super) fn head(&self, status: StatusCode, source: Source) {
        self.0.change(|state| {
            state.answered.status = Some(status.as_u16());
            state.answered.source = source;
            state.answered.first_byte = Some(kernel::now());
        });
    }

    /// What the head says of the body.
    pub(super) fn promised(&self, headers: &HeaderMap) {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        self.0.change(|state| state.length = length);
    }

    /// Who counts the attempts.
    pub(super) fn upstream(&self, account: Arc<upstream::Account>) {
        self.0.change(|state| state.upstream = Some(account));
    }

    /// A body that is counted as it is read.
    pub(super) fn count<B>(self, body: B) -> ResponseBody
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Unpin + 'static,
    {
        Counted {
            body,
            account: self,
        }
        .boxed_unsync()
    }
}

impl Inner {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut answered = state.answered.clone();
        if let Some(account) = &state.upstream {
            answered.attempts = account.attempts();
            answered.resumed = account.resumes();
            answered.resumed_bytes = account.resumed_bytes();
        }
        self.teller.tell(Event {
            at: kernel::now(),
            pid: state.pid,
            kind: EventKind::Answered(answered),
        });
    }
}

struct Counted<B> {
    body: B,
    account: Account,
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let ended = frame.is_none() || self.body.is_end_stream();
        self.account.0.change(|state| {
            if let Some(Ok(frame)) = &frame {
                state.answered.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            // A body of known length is not polled beyond its last byte.
            let ended = ended || state.length == Some(state.answered.bytes);
            state.answered.whole |= ended && !matches!(frame, Some(Err(_)));
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::StreamBody;

    use super::*;
    use crate::accelerator::Origin;
    use crate::kernel::events::SocketCookie;

    fn session() -> Session {
        Session {
            origin: Origin {
                destination: ([127, 0, 0, 1], 443).into(),
                pid: Pid(7),
                cookie: SocketCookie(9),
            },
            host: "proxy.golang.org".to_owned(),
            port: 443,
            connect: None,
        }
    }

    /// Reads one frame of five bytes, then lets go.
    async fn told_of(length: &'static str) -> Answered {
        let (teller, mut receiver) = Teller::new(1);
        let account = Account::begin(&session(), "/m/@v/list", teller);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        account.head(StatusCode::OK, Source::Prefetch);
        account.promised(&headers);
        let frames = [Ok(Frame::data(Bytes::from_static(b"12345")))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut body = account.count(body);
        body.frame().await.unwrap().unwrap();
        drop(body);
        match receiver.recv().await.unwrap().kind {
            EventKind::Answered(answered) => answered,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_of_known_length_is_whole_without_a_look_beyond_it() {
        assert!(told_of("5").await.whole);
        assert!(!told_of("6").await.whole);
    }
    #[test]
    fn what_finds_no_room_is_counted() {
        let (teller, mut receiver) = Teller::new(1);
        for _ in 0..3 {
            drop(Account::begin(&session(), "/m/@v/list", teller.clone()));
        }
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
        assert_eq!(teller.lost(), 2);
    }
}
