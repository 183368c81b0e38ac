// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tunnel through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), and what the proxy has to say to that.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::connection::speak;
use super::deadlines::Phase;
use super::dial::late;
use super::error::{FailureKind, UpstreamError};
use super::handshake::{BoxStream, Broken};
use super::proxy::HttpProxy;
use super::route::Route;
use crate::kernel::events::AttemptFailure;

/// Asks `proxy`, on the connection to it, for a tunnel to the host of `route`; it has to answer within `limit`.
pub(super) async fn tunnel(
    stream: BoxStream,
    route: &Route,
    proxy: &HttpProxy,
    remote: SocketAddr,
    limit: Duration,
) -> Result<BoxStream, Broken> {
    match timeout(limit, ask(stream, route, proxy, remote)).await {
        Ok(answered) => answered,
        Err(_) => Err(broken(
            late(Phase::Tunnel, proxy, limit),
            AttemptFailure::Silent,
        )),
    }
}

async fn ask(
    stream: BoxStream,
    route: &Route,
    proxy: &HttpProxy,
    remote: SocketAddr,
) -> Result<BoxStream, Broken> {
    let cut = |error: hyper::Error| {
        let whom = format!("HTTP proxy {proxy}");
        broken(
            UpstreamError::exchange(&whom, remote, &error),
            failure(&error),
        )
    };
    let authority = format!("{}:{}", route.host, route.port);
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&authority)
        .header(header::HOST, &authority);
    if let Some(credentials) = &proxy.authorization {
        request = request.header(header::PROXY_AUTHORIZATION, credentials);
    }
    let request = request.body(Empty::new()).map_err(|error| {
        let story = format!("ask {proxy} for {authority}: {error}");
        let failure = AttemptFailure::Other {
            error: story.clone(),
        };
        broken(UpstreamError::lasting(FailureKind::Request, story), failure)
    })?;
    let mut sender = speak(stream, true).await.map_err(cut)?;
    let response = sender.send_request(request).await.map_err(cut)?;
    let status = response.status();
    if status.is_success() {
        let upgraded = hyper::upgrade::on(response).await.map_err(cut)?;
        return Ok(Box::new(TokioIo::new(upgraded)));
    }
    Err(broken(
        refusal(proxy, &authority, status),
        AttemptFailure::TunnelRefused {
            status: status.as_u16(),
        },
    ))
}

fn refusal(proxy: &HttpProxy, authority: &str, status: StatusCode) -> UpstreamError {
    let story = format!("the HTTP proxy {proxy} answered {status} to CONNECT {authority}");
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        UpstreamError::lasting(
            FailureKind::Proxy,
            format!(
                "{story}: give it a user and password in HTTPS_PROXY=http://user:password@host:port"
            ),
        )
    } else if status.is_server_error() {
        UpstreamError::passing(FailureKind::Proxy, story)
    } else {
        UpstreamError::lasting(FailureKind::Proxy, story)
    }
}

fn broken(error: UpstreamError, failure: AttemptFailure) -> Broken {
    Broken {
        error,
        hello: None,
        failure,
    }
}

/// How the proxy's connection ended in place of an answer.
fn failure(error: &hyper::Error) -> AttemptFailure {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => AttemptFailure::Reset,
        Some(io::ErrorKind::UnexpectedEof) => AttemptFailure::Closed,
        None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            AttemptFailure::Closed
        }
        _ => AttemptFailure::Other {
            error: error.to_string(),
        },
    }
}
