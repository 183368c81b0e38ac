// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who answers intercepted requests, and what an answer is.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::Origin;
use super::proxy_connect::ConnectRequest;

/// What went wrong in a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. An error in it ends the connection short of what was announced (no final chunk, fewer
/// bytes than `Content-Length`, no TLS `close_notify`), so that the client sees that it is not whole.
pub type ResponseBody = UnsyncBoxBody<Bytes, BodyError>;

/// An intercepted connection, as its requests see it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is and where it wanted to go.
    pub origin: Origin,
    /// The module host, lower case: the name in the `ClientHello`.
    pub host: String,
    /// The port of the module host.
    pub port: u16,
    /// The `CONNECT` that led here, if the process goes through an HTTP proxy (at `origin.destination`).
    pub connect: Option<ConnectRequest>,
}

/// Answers intercepted requests.
pub trait Respond: Send + Sync + 'static {
    /// Answers one request. Its URI has a path and query only; its host was checked to be the session's. Dropped
    /// when the client goes away. Failures are answers too: 502 or 504 with a text, never 404 or 410 of our own.
    fn respond<'a>(
        &'a self,
        session: &'a Session,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>>;
}

/// An answer of one line of text, which is what `go` prints for a failure.
pub fn text(status: StatusCode, line: &str) -> Response<ResponseBody> {
    let body = http_body_util::Full::new(Bytes::from(format!("{line}\n")))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
