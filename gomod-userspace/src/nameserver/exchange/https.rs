// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS over HTTPS (RFC 8484): `POST` over HTTP/2, on one connection.

use std::{io, time::Duration};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::RootCertStore;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::super::dns_server::Peer;
use super::in_time;
use super::tls::{connector, secure};

/// The media type of queries and answers (RFC 8484 section 6).
const MEDIA_TYPE: &str = "application/dns-message";
/// The longest DNS message.
const MAX_LEN: usize = 65_535;

/// While answers are awaited, the connection is tried this often, and takes this long to show that it lives: one that a
/// middlebox has forgotten would swallow every question until TCP gives up.
const PING: Duration = Duration::from_secs(1);

/// The server answered the request, but not with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP status {0}")]
pub struct UnexpectedStatus(pub StatusCode);

/// A server.
pub(in super::super) struct Https {
    peer: Peer,
    uri: String,
    connector: TlsConnector,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Https {
    pub(in super::super) fn new(peer: Peer, path: &str, roots: RootCertStore) -> Self {
        Self {
            uri: format!("https://{peer}{path}"),
            peer,
            connector: connector(roots, b"h2"),
            connection: Mutex::default(),
        }
    }

    /// Sends `message`, on the connection that is open if there is one.
    pub(in super::super) async fn exchange(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        in_time(async {
            let (sender, reused) = self.connection().await?;
            match self.ask(sender, message).await {
                // The server may have closed it meanwhile: then a new one tells more.
                Err(_) if reused => {
                    *self.connection.lock().await = None;
                    let (sender, _) = self.connection().await?;
                    self.ask(sender, message).await
                }
                told => told,
            }
        })
        .await
    }

    /// The connection, and whether it was there already.
    async fn connection(&self) -> io::Result<(SendRequest<Full<Bytes>>, bool)> {
        let mut open = self.connection.lock().await;
        if let Some(sender) = open.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), true));
        }
        let stream = secure(&self.connector, &self.peer).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("DNS over HTTPS: {error}");
            }
        });
        *open = Some(sender.clone());
        Ok((sender, false))
    }

    async fn ask(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        message: &[u8],
    ) -> io::Result<Vec<u8>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .header(ACCEPT, MEDIA_TYPE)
            .body(Full::from(message.to_vec()))
            .map_err(io::Error::other)?;
        sender.ready().await.map_err(io::Error::other)?;
        let response = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(UnexpectedStatus(response.status())));
        }
        let body = Limited::new(response.into_body(), MAX_LEN)
            .collect()
            .await
            .map_err(io::Error::other)?;
        Ok(body.to_bytes().to_vec())
    }
}
