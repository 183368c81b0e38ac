// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's nameservers by TLS (RFC 7858) and by HTTPS (RFC 8484).

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Internet;
use super::dns::{answer, serve_stream, sleep_if};
use crate::addresses::Host;
use crate::log::Connection;

/// Port of DNS over TLS.
pub(crate) const TLS_PORT: u16 = 853;
/// Port of DNS over HTTPS.
pub(crate) const HTTPS_PORT: u16 = 443;
/// Where it is to be asked.
const PATH: &str = "/dns-query";
const MEDIA_TYPE: &str = "application/dns-message";

/// Serves DNS over TLS, or over HTTPS, by the port that `listener` has.
pub(crate) async fn serve(internet: Arc<Internet>, server: u8, host: Host, listener: TcpListener) {
    let by_https = listener
        .local_addr()
        .is_ok_and(|address| address.port() == HTTPS_PORT);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (internet, host) = (Arc::clone(&internet), host.clone());
        tokio::spawn(async move {
            let protocol = if by_https { b"h2".as_slice() } else { b"dot" };
            let outcome = match accept(&internet, &host, protocol, stream).await {
                Ok(stream) if by_https => serve_https(internet, server, stream).await,
                Ok(stream) => serve_stream(&internet, server, stream).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::debug!(host = host.name, %error, "connection ended");
            }
        });
    }
}

async fn accept(
    internet: &Internet,
    host: &Host,
    protocol: &[u8],
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let mut configuration = internet
        .certificates
        .configuration(&host.name, true)
        .ok_or_else(|| io::Error::other("no certificate for this host"))?;
    Arc::make_mut(&mut configuration).alpn_protocols = vec![protocol.to_vec()];
    let stream = TlsAcceptor::from(configuration).accept(stream).await?;
    internet.log.connection(Connection {
        at: internet.log.now(),
        host: host.name.clone(),
        resumed: stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed),
    });
    Ok(stream)
}

async fn serve_https(
    internet: Arc<Internet>,
    server: u8,
    stream: TlsStream<TcpStream>,
) -> io::Result<()> {
    let service = service_fn(move |request| respond(Arc::clone(&internet), server, request));
    http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

async fn respond(
    internet: Arc<Internet>,
    server: u8,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let refused = |status| {
        let mut response = Response::default();
        *response.status_mut() = status;
        Ok(response)
    };
    let is_message = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == MEDIA_TYPE);
    if request.method() != Method::POST || request.uri().path() != PATH || !is_message {
        return refused(StatusCode::NOT_FOUND);
    }
    let Ok(question) = request.into_body().collect().await else {
        return refused(StatusCode::BAD_REQUEST);
    };
    let Some(reply) = answer(&internet, server, true, &question.to_bytes()) else {
        // Silence, until the client gives up.
        return pending().await;
    };
    sleep_if(reply.delay).await;
    let mut response = Response::new(Full::from(reply.message));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(MEDIA_TYPE));
    Ok(response)
}
