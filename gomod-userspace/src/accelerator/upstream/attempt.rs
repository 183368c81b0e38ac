// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request on one connection, until the head of the response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::connection::{Connection, Connector, SetUp};
use super::deadlines::Phase;
use super::dial::late;
use super::error::{FailureKind, UpstreamError};
use super::pool::{Host, Place};
use super::request::Urgency;

/// A body that nobody wants is read up to this length, so that its connection can be used again.
const DISCARDED: usize = 64 * 1024;
/// And for this long.
const DISCARDING: Duration = Duration::from_secs(1);
/// A connection whose response has ended is ready at once, or is closing.
const READY: Duration = Duration::from_millis(100);

/// What is asked of one host.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) host: Arc<Host>,
    pub(super) urgency: Urgency,
}

/// A connection in use, and the right to it.
pub(super) struct Lease {
    connection: Connection,
    host: Arc<Host>,
    place: Place,
}

impl Lease {
    /// Keeps the connection for the next request. Only right after the end of a response; before its reader is told
    /// of the end, so that the reader's next request finds the connection.
    pub(super) async fn give_back(self) {
        let Self {
            mut connection,
            host,
            place,
        } = self;
        if let Ok(Ok(())) = timeout(READY, connection.sender.ready()).await {
            host.keep(connection);
        }
        drop(place);
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.connection.remote
    }
}

/// The head of a response; its body is still to come.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    pub(super) lease: Lease,
    pub(super) reused: bool,
    pub(super) set_up: SetUp,
    pub(super) first_byte: Duration,
}

impl Head {
    /// Drops the response; if its body is short, the connection is kept.
    pub(super) fn discard(self) {
        let Self {
            mut body, lease, ..
        } = self;
        tokio::spawn(async move {
            let whole = timeout(DISCARDING, async {
                let mut seen = 0;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => seen += frame.data_ref().map_or(0, Bytes::len),
                        Err(_) => return false,
                    }
                    if seen > DISCARDED {
                        return false;
                    }
                }
                true
            });
            if let Ok(true) = whole.await {
                lease.give_back().await;
            }
        });
    }
}

/// Told once by an attempt that is silent for longer than usual; it goes on waiting.
pub(super) type Nudge = mpsc::Sender<()>;

/// How an attempt is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// On a new connection, though others are kept.
    pub(super) fresh: bool,
    /// Whether to nudge as soon as the host is slower than it usually is, not only at the deadline.
    pub(super) early: bool,
    /// How long a connection is kept.
    pub(super) idle: Duration,
}

/// Asks. A kept connection that turns out to be closed is replaced by a new one, as the host may close it at any time.
pub(super) async fn attempt(
    connector: Arc<Connector>,
    ask: Arc<Ask>,
    place: Place,
    mut manner: Manner,
    nudge: Nudge,
) -> Result<Head, UpstreamError> {
    loop {
        let kept = if manner.fresh {
            None
        } else {
            ask.host.take(manner.idle)
        };
        let reused = kept.is_some();
        let unsteadiness = ask.host.history().unsteadiness();
        let mut connection = if let Some(connection) = kept {
            connection
        } else {
            ask.host.make_room();
            let connection = connector.connect(&ask.host.route, unsteadiness).await?;
            if let Some(took) = connection.set_up.connect {
                ask.host.history().connected(took);
            }
            connection
        };
        match exchange(&connector, &ask, &mut connection, manner.early, &nudge).await {
            Ok((response, first_byte)) => {
                ask.host
                    .history()
                    .answered(first_byte, connection.round_trip.latest());
                connector.book.answered(connection.remote);
                let (parts, body) = response.into_parts();
                let set_up = if reused {
                    SetUp::default()
                } else {
                    connection.set_up
                };
                let lease = Lease {
                    connection,
                    host: Arc::clone(&ask.host),
                    place,
                };
                let (status, headers) = (parts.status, parts.headers);
                return Ok(Head {
                    status,
                    headers,
                    body,
                    lease,
                    reused,
                    set_up,
                    first_byte,
                });
            }
            Err(error) if reused && error.kind == FailureKind::Cut => manner.fresh = true,
            Err(error) => {
                connector.book.failed(connection.remote);
                return Err(error);
            }
        }
    }
}

async fn exchange(
    connector: &Connector,
    ask: &Ask,
    connection: &mut Connection,
    early: bool,
    nudge: &Nudge,
) -> Result<(hyper::Response<Incoming>, Duration), UpstreamError> {
    let (host, remote) = (&ask.host.route.host, connection.remote);
    let request = request(ask)?;
    let allowed = connector
        .deadlines
        .of(Phase::FirstByte, ask.host.history().unsteadiness());
    let usual = if early {
        ask.host
            .history()
            .race_after()
            .filter(|usual| *usual < allowed)
    } else {
        None
    };
    let began = Instant::now();
    let (mut nudge_at, mut nudged) = (began + usual.unwrap_or(allowed), false);
    let patience = allowed * 2;
    let response = connection.sender.send_request(request);
    tokio::pin!(response);
    loop {
        tokio::select! {
            response = &mut response => {
                return match response {
                    Ok(response) => Ok((response, began.elapsed())),
                    Err(error) => Err(UpstreamError::exchange(host, remote, &error)),
                };
            }
            () = sleep_until(nudge_at), if !nudged => {
                nudged = true;
                if usual.is_some() {
                    ask.host.history().raced();
                } else {
                    connector.book.failed(remote);
                }
                // A full channel holds a nudge already.
                let _known = nudge.try_send(());
                nudge_at = began + patience;
            }
            () = sleep_until(began + patience) => {
                connector.book.failed(remote);
                return Err(late(Phase::FirstByte, format_args!("{host} ({remote})"), patience));
            }
        }
    }
}

fn request(ask: &Ask) -> Result<Request<Empty<Bytes>>, UpstreamError> {
    let refused = |what: String| UpstreamError::lasting(FailureKind::Request, what);
    let route = &ask.host.route;
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(route.target(&ask.url)?)
        .body(Empty::new())
        .map_err(|error| refused(format!("ask {}: {error}", route.host)))?;
    let authority = http::HeaderValue::try_from(route.authority())
        .map_err(|error| refused(format!("{} can't be a Host header: {error}", route.host)))?;
    *request.headers_mut() = ask.headers.clone();
    request.headers_mut().insert(header::HOST, authority);
    if let Some(credentials) = route.proxy_authorization() {
        request
            .headers_mut()
            .insert(header::PROXY_AUTHORIZATION, credentials.clone());
    }
    Ok(request)
}
