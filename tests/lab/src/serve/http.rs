// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP on one connection: what a host has to say, and what faults make of it.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::body::PieceBody;
use super::route::{Answer, Asked, route};
use super::wiretap::{Scissors, Wiretap, end};
use super::{Internet, git, range};
use crate::addresses::{Family, GIT, Host};
use crate::fault::FaultKind;
use crate::log::Request;

/// A connection that is to be cut has written all it had once nothing was written for so long.
const QUIET: Duration = Duration::from_millis(100);

/// Whom a connection leads to.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) internet: Arc<Internet>,
    pub(super) host: Arc<Host>,
    pub(super) family: Family,
    /// False for plain HTTP.
    pub(super) secure: bool,
}

/// Plain HTTP, without TLS.
pub(crate) async fn serve(internet: Arc<Internet>, host: Host, listener: TcpListener) {
    let host = Arc::new(host);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let site = Site {
            internet: Arc::clone(&internet),
            host: Arc::clone(&host),
            family: Family::of(&peer),
            secure: false,
        };
        tokio::spawn(async move {
            let scissors = Scissors::new();
            let stream = Wiretap::new(stream, Vec::new(), &scissors);
            let Ok(socket) = stream.second_descriptor() else {
                return;
            };
            if let Err(error) = speak(stream, socket, scissors, site.clone()).await {
                tracing::debug!(host = site.host.name, %error, "connection ended");
            }
        });
    }
}

/// Answers requests on `stream` until its end, which faults may order by `scissors` and bring about by `socket`.
pub(super) async fn speak<Stream>(
    stream: Stream,
    socket: OwnedFd,
    scissors: Scissors,
    site: Site,
) -> io::Result<()>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = {
        let scissors = scissors.clone();
        service_fn(move |request| respond(site.clone(), scissors.clone(), request))
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250);
    builder.http1().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ending = tokio::select! {
        outcome = &mut connection => return outcome.map_err(io::Error::other),
        ending = scissors.wait() => ending,
    };
    // Let what the body gave before the cut leave the process; the body itself gives no more.
    loop {
        let before = scissors.written();
        let ended = tokio::time::timeout(QUIET, &mut connection).await.is_ok();
        if ended || scissors.written() == before {
            break;
        }
    }
    end(socket, ending).await;
    Ok(())
}

async fn respond(
    site: Site,
    scissors: Scissors,
    request: http::Request<Incoming>,
) -> Result<Response<PieceBody>, Infallible> {
    let Site {
        internet,
        host,
        family,
        secure,
    } = site;
    let (parts, body) = request.into_parts();
    let path = percent_decoded(parts.uri.path());
    let asked = Asked {
        host: &host.name,
        secure,
        path: &path,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    let mut answer = match &internet.repositories {
        Some(repositories) if host.name == GIT && !asked.is_go_get() => {
            git::answer(repositories, &parts, body).await
        }
        _ => route(&internet, asked),
    };
    let fault = internet
        .faults
        .happens(&format!("{}{path}", host.name), |fault| {
            let acts_here = matches!(fault.kind, FaultKind::Silence | FaultKind::Status(_))
                || (fault.kind.is_body() && answer.status == StatusCode::OK);
            acts_here && fault.concerns(&host.name, family) && fault.path.matches(&path)
        });
    let silent = fault == Some(FaultKind::Silence);
    let mut retry_after = None;
    match fault {
        Some(FaultKind::Status(refused)) => {
            let status =
                StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            answer = Answer::text(status, format!("the lab says {status}\n"));
            retry_after = refused.retry_after;
        }
        Some(FaultKind::BodyCorrupt) => corrupt(&mut answer.pieces),
        _ => {}
    }
    let total = length(&answer.pieces);
    let first = answer
        .tag
        .as_deref()
        .and_then(|tag| range::first_byte(&parts.headers, tag, total));
    if let Some(first) = first {
        answer.status = StatusCode::PARTIAL_CONTENT;
        answer.pieces = range::skip(answer.pieces, first);
    }
    if let Some(fault) = fault {
        internet
            .log
            .act(fault, host.name.as_str(), format!("request {path}"));
    }
    internet.log.request(Request {
        at: internet.log.now(),
        host: host.name.clone(),
        path: parts
            .uri
            .query()
            .map_or_else(|| path.clone(), |query| format!("{path}?{query}")),
        secure,
        http2: parts.version == Version::HTTP_2,
        family,
        authorization: text_of(parts.headers.get(header::AUTHORIZATION)),
        first_byte: first,
        status: if silent { 0 } else { answer.status.as_u16() },
        body_bytes: length(&answer.pieces),
    });
    if silent {
        pending::<()>().await;
    }
    let mut response = Response::new(PieceBody::new(answer.pieces, fault, &path, &scissors));
    *response.status_mut() = answer.status;
    let further = [
        (header::CONTENT_TYPE, Some(answer.kind)),
        (
            header::RETRY_AFTER,
            retry_after.map(|seconds| seconds.to_string()),
        ),
        (
            header::CONTENT_RANGE,
            first.map(|first| format!("bytes {first}-{}/{total}", total - 1)),
        ),
        (
            header::WWW_AUTHENTICATE,
            (answer.status == StatusCode::UNAUTHORIZED).then(|| "Basic realm=\"lab\"".to_owned()),
        ),
        (header::LOCATION, answer.location),
        (header::ETAG, answer.tag),
    ];
    for (name, value) in further {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn text_of(value: Option<&HeaderValue>) -> Option<String> {
    value
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn length(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// Turns one bit round, in the middle.
fn corrupt(pieces: &mut [Bytes]) {
    let mut left = length(pieces) / 2;
    for piece in pieces {
        if left < piece.len() as u64 {
            let mut copy = piece.to_vec();
            copy[left as usize] ^= 1;
            *piece = Bytes::from(copy);
            return;
        }
        left -= piece.len() as u64;
    }
}

/// `go` writes `!` as `%21`. What is no valid escape stays as it is.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corruption_is_one_bit() {
        let mut pieces = [&b"ab"[..], b"cd"].map(Bytes::from_static);
        corrupt(&mut pieces);
        assert_eq!(pieces.concat(), b"abbd");
        corrupt(&mut []);
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(percent_decoded("/%21lab/@v/list"), "/!lab/@v/list");
        assert_eq!(percent_decoded("/100%/%zz/%2"), "/100%/%zz/%2");
    }
}
