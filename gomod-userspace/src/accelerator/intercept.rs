// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connection to a module host under our own certificate: TLS, then HTTP/1.1 requests, one after the other.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HOST, UPGRADE};
use http::uri::{Authority as UriAuthority, PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{AlertDescription, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, AuthorityError};
use super::replay::Replayed;
use super::respond::{Respond, ResponseBody, Session, text};
use super::splice;

/// The only application protocol: one request at a time, no frames that can stall one another.
pub(super) const PROTOCOL: &str = "http/1.1";

/// Bytes of one request's head, and of what is read ahead.
const MAX_HEAD_LEN: usize = 64 * 1024;

const MAX_HEADERS: usize = 128;

/// The handshake ends as `go`'s own would (10 s), so that a hung client does not stay.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// From one request to the head of the next. `go` closes idle connections itself after 90 s; to be earlier would
/// race its next request.
const IDLE: Duration = Duration::from_secs(120);

/// How an interception failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum InterceptError {
    #[error(
        "the client rejected our certificate ({alert:?}): its next connections to {host} are spliced"
    )]
    Rejected {
        alert: AlertDescription,
        host: String,
    },
    #[error("the TLS handshake with the client broke off: {0}")]
    Handshake(io::Error),
    #[error("the client did not finish its TLS handshake within {} s", HANDSHAKE.as_secs())]
    TimedOut,
    #[error("{0}")]
    Http(String),
    #[error("the run ended")]
    Stopped,
}

/// The TLS side of all interceptions of a run.
pub(super) fn tls(authority: Arc<Authority>) -> Result<Arc<ServerConfig>, AuthorityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(authority);
    config.alpn_protocols = vec![PROTOCOL.into()];
    Ok(Arc::new(config))
}

/// Shakes hands and answers requests until the client closes. `finish` ends it after the request at hand, `stop` at
/// once.
pub(super) async fn serve(
    client: Replayed,
    tls: Arc<ServerConfig>,
    session: Arc<Session>,
    respond: Arc<dyn Respond>,
    answered: &AtomicU64,
    (finish, stop): (impl Future<Output = ()>, impl Future<Output = ()>),
) -> Result<(), InterceptError> {
    // The end of an answer is a small segment: held back until the client acknowledges what came before (Nagle), it
    // would be 40 ms late (delayed acknowledgement), answer by answer. Refused, it costs that only.
    let _slower = client.stream.set_nodelay(true);
    let accepted = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(client))
        .await
        .map_err(|_| InterceptError::TimedOut)?;
    let stream = accepted.map_err(|error| refused(error, &session.host))?;
    // From here on an end is an end: what was written last still arrives.
    splice::close_in_order(&stream.get_ref().0.stream).map_err(InterceptError::Handshake)?;

    let service = service_fn(|request| {
        answered.fetch_add(1, Ordering::Relaxed);
        answer(Arc::clone(&respond), Arc::clone(&session), request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_LEN)
        .auto_date_header(false);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut finish = std::pin::pin!(finish);
    let mut stop = std::pin::pin!(stop);
    let mut finishing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                return match ended {
                    // Between two requests `go` just closes; an idle end is no failure either.
                    Err(error) if !is_idle_end(&error) => Err(InterceptError::Http(chain(&error))),
                    _ => Ok(()),
                };
            }
            () = &mut finish, if !finishing => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut stop => return Err(InterceptError::Stopped),
        }
    }
}

/// What the failed handshake says about our certificate.
fn refused(error: io::Error, host: &str) -> InterceptError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        )) => InterceptError::Rejected {
            alert: *alert,
            host: host.to_owned(),
        },
        _ => InterceptError::Handshake(error),
    }
}

fn is_idle_end(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_timeout()
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

async fn answer(
    respond: Arc<dyn Respond>,
    session: Arc<Session>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    if let Err(refusal) = check(&mut request, &session) {
        return Ok(*refusal);
    }
    Ok(respond.respond(&session, request).await)
}

/// Refuses what no module request is, and brings the rest to the usual form (a path and query, no authority).
fn check(
    request: &mut Request<Incoming>,
    session: &Session,
) -> Result<(), Box<Response<ResponseBody>>> {
    let refuse = |status, line: &str| Err(Box::new(text(status, line)));
    let upgrade = request.headers().contains_key(UPGRADE)
        || request.headers().get_all(CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
    if request.method() == Method::CONNECT || upgrade {
        return refuse(
            StatusCode::BAD_GATEWAY,
            "gomod-trace: no tunnel and no other protocol inside a module connection",
        );
    }
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| UriAuthority::try_from(host.as_bytes()).ok());
    // RFC 9112 section 3.2.2: the authority of an absolute URI counts, and Host is ignored then.
    let named = request.uri().authority().cloned().or(host);
    if !named.is_some_and(|named| names(&named, session)) {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            &format!("gomod-trace: this connection is for {} only", session.host),
        );
    }
    let path = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Ok(())
}

fn names(authority: &UriAuthority, session: &Session) -> bool {
    let host = authority.host().trim_end_matches('.');
    host.eq_ignore_ascii_case(&session.host) && authority.port_u16().unwrap_or(443) == session.port
}
