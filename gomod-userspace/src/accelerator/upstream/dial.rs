// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP connection to the first address of a host that answers (happy eyeballs, RFC 8305 section 5).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::addresses::AddressBook;
use super::attempts::{self, Attempts, Telling};
use super::deadlines::Phase;
use super::error::{FailureKind, UpstreamError};
use super::resolve::Resolve;
use super::route::Route;

/// How long one address has before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// What a dial may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct DialLimits {
    pub(super) resolve: Duration,
    pub(super) connect: Duration,
}

/// A connection, whom to, and how long the handshake took.
pub(super) struct Dialled {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) took: Duration,
    pub(super) telling: Telling,
}

/// The addresses of `host`, which may be an address itself, in brackets or not.
async fn addresses(
    resolver: &dyn Resolve,
    host: &str,
    limit: Duration,
) -> Result<Vec<IpAddr>, UpstreamError> {
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Ok(vec![address]);
    }
    let missing = |reason: String| {
        UpstreamError::passing(FailureKind::Name, format!("look up {host}: {reason}"))
    };
    match timeout(limit, resolver.resolve(host)).await {
        Ok(Ok(found)) if found.is_empty() => Err(missing("the name has no address".to_owned())),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(reason)) => Err(missing(reason)),
        Err(_) => Err(late(Phase::Resolve, host, limit)),
    }
}

/// The error for a missed deadline.
pub(super) fn late(phase: Phase, whom: impl std::fmt::Display, limit: Duration) -> UpstreamError {
    let seconds = limit.as_secs_f64();
    UpstreamError::passing(
        FailureKind::Timeout,
        format!("{} from {whom} within {seconds:.1} s", phase.missing()),
    )
}

/// Connects to the first address that answers of the host of `route`, or of its HTTP proxy. `book` remembers addresses
/// that failed, and those that a later one overtook.
pub(super) async fn dial(
    resolver: &dyn Resolve,
    (book, told): (&AddressBook, &Attempts),
    route: &Route,
    limits: DialLimits,
) -> Result<Dialled, UpstreamError> {
    let (host, port) = route.dialled();
    let found = addresses(resolver, host, limits.resolve).await?;
    let mut waiting = book.order(&found, port).into_iter();
    let mut under_way: Vec<SocketAddr> = Vec::new();
    let mut dialling: JoinSet<(SocketAddr, Result<Dialled, UpstreamError>)> = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        let more = waiting.next();
        if let Some(address) = more {
            under_way.push(address);
            let telling = told.begin(route, address);
            dialling
                .spawn(async move { (address, connect(address, telling, limits.connect).await) });
        } else if dialling.is_empty() {
            return Err(UpstreamError::exhausted(host, 1, failures));
        }
        let pause = async {
            if more.is_some() && !waiting.as_slice().is_empty() {
                tokio::time::sleep(STAGGER).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            Some(ended) = dialling.join_next() => match ended {
                Ok((address, Ok(dialled))) => {
                    for overtaken in under_way.iter().take_while(|earlier| **earlier != address) {
                        book.failed(*overtaken);
                    }
                    return Ok(dialled);
                }
                Ok((address, Err(error))) => {
                    under_way.retain(|other| *other != address);
                    book.failed(address);
                    failures.push(error);
                }
                Err(gone) => failures.push(UpstreamError::passing(FailureKind::Unreachable, gone.to_string())),
            },
            () = pause => {}
        }
    }
}

async fn connect(
    address: SocketAddr,
    mut telling: Telling,
    limit: Duration,
) -> Result<Dialled, UpstreamError> {
    let began = Instant::now();
    let connected = match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(UpstreamError::connect(address, &error)),
        Err(_) => Err(late(Phase::Connect, address, limit)),
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => {
            telling.failed(None, attempts::of_connect(error.kind, &error.story));
            return Err(error);
        }
    };
    telling.connected();
    // Requests are one small write each; a refusal to send them at once only costs time.
    let _delayed = stream.set_nodelay(true);
    Ok(Dialled {
        stream,
        remote: address,
        took: began.elapsed(),
        telling,
    })
}
