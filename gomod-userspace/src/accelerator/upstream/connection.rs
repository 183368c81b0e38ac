// SPDX-License-Identifier: MIT OR Apache-2.0
//! One HTTP/1.1 connection: dialled, through the proxy's tunnel if there is one, and with TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::Instant;

use super::addresses::AddressBook;
use super::attempts::{Attempts, Telling};
use super::deadlines::{Deadlines, Phase};
use super::dial::{DialLimits, Dialled, dial};
use super::error::{FailureKind, UpstreamError};
use super::handshake::{BoxStream, Broken, Shaker};
use super::resolve::Resolve;
use super::round_trip::{RoundTrip, Timed};
use super::route::Route;
use super::tunnel::tunnel;
use crate::kernel::events::OwnHello;

/// The most that is read from a connection at once, and the longest response head.
const READ_BUFFER: usize = 64 * 1024;

/// What every connection needs.
pub(super) struct Connector {
    pub(super) shaker: Shaker,
    pub(super) attempts: Attempts,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) book: AddressBook,
    pub(super) deadlines: Deadlines,
    /// How far the first host was that was reached.
    pub(super) distance: watch::Sender<Option<Duration>>,
}

/// How long setting up took. Absent for what was not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    /// The TCP handshake with the host, or its proxy.
    pub connect: Option<Duration>,
    /// The TLS handshake with the host.
    pub hello: Option<Duration>,
}

/// A connection that can carry requests, one after another.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Empty<Bytes>>,
    /// The host's address, or its proxy's.
    pub(super) remote: SocketAddr,
    pub(super) set_up: SetUp,
    /// To `remote`.
    pub(super) round_trip: RoundTrip,
}

impl Connector {
    /// A new connection to `route`. `unsteadiness` is what the host's round trips have shown.
    pub(super) async fn connect(
        &self,
        route: &Route,
        unsteadiness: f64,
    ) -> Result<Connection, UpstreamError> {
        let limit = |phase| self.deadlines.of(phase, unsteadiness);
        let limits = DialLimits {
            resolve: limit(Phase::Resolve),
            connect: limit(Phase::Connect),
        };
        let dialled = dial(
            self.resolver.as_ref(),
            (&self.book, &self.attempts),
            route,
            limits,
        )
        .await?;
        let Dialled {
            stream,
            remote,
            took,
            mut telling,
        } = dialled;
        let round_trip = RoundTrip::default();
        let mut stream: BoxStream = Box::new(Timed::new(stream, round_trip.clone()));
        let mut set_up = SetUp {
            connect: Some(took),
            hello: None,
        };
        if let Some(proxy) = &route.via {
            if proxy.tls {
                (stream, telling, _) = self
                    .handshake(stream, telling, &proxy.host, remote, limit(Phase::Hello))
                    .await?;
            }
            if route.tls {
                let asked = Instant::now();
                telling.tunnel_asked();
                let allowed = limit(Phase::Tunnel);
                stream = match tunnel(stream, route, proxy, remote, allowed).await {
                    Ok(stream) => stream,
                    Err(broken) => return Err(self.given_up(telling, broken, remote)),
                };
                telling.tunnel_open();
                // The proxy is near; the host behind it is as far as the tunnel took.
                self.reached(took + asked.elapsed());
            }
        } else {
            self.reached(took);
        }
        let mut hello = None;
        if route.tls {
            let began = Instant::now();
            let sent;
            (stream, telling, sent) = self
                .handshake(stream, telling, &route.host, remote, limit(Phase::Hello))
                .await?;
            hello = Some(sent);
            set_up.hello = Some(began.elapsed());
        }
        let sender = speak(stream, false)
            .await
            .map_err(|error| UpstreamError::exchange(&route.host, remote, &error))?;
        telling.open(hello);
        Ok(Connection {
            sender,
            remote,
            set_up,
            round_trip,
        })
    }

    /// A host was reached, one round trip away.
    fn reached(&self, round_trip: Duration) {
        self.distance.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(round_trip);
            first
        });
    }

    async fn handshake(
        &self,
        stream: BoxStream,
        telling: Telling,
        host: &str,
        remote: SocketAddr,
        limit: Duration,
    ) -> Result<(BoxStream, Telling, OwnHello), UpstreamError> {
        match self.shaker.shake(stream, host, remote, limit).await {
            Ok((stream, hello)) => Ok((stream, telling, hello)),
            Err(broken) => Err(self.given_up(telling, broken, remote)),
        }
    }

    /// Tells of what came to nothing, and remembers whose turn it is not next.
    fn given_up(&self, telling: Telling, broken: Broken, remote: SocketAddr) -> UpstreamError {
        telling.failed(broken.hello, broken.failure);
        // A proxy that refuses has answered: another address of it would refuse as well.
        if broken.error.again && broken.error.kind != FailureKind::Proxy {
            self.book.failed(remote);
        }
        broken.error
    }
}

/// Starts HTTP/1.1 on `stream`; a task carries it until either side is done.
pub(super) async fn speak(
    stream: BoxStream,
    tunnel: bool,
) -> hyper::Result<SendRequest<Empty<Bytes>>> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .handshake(TokioIo::new(stream))
        .await?;
    if tunnel {
        tokio::spawn(connection.with_upgrades());
    } else {
        tokio::spawn(connection);
    }
    Ok(sender)
}
