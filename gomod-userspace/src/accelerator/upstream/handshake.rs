// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TLS handshake with a host, and what it says of the network when it fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::deadlines::Phase;
use super::dial::late;
use super::error::{FailureKind, UpstreamError};
use super::witness::Witness;
use crate::kernel::events::{AttemptFailure, OwnHello};
use crate::wire::tls::alert_name;

/// What goes over a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
/// One of any kind.
pub(super) type BoxStream = Box<dyn Stream>;

/// The only application protocol.
const PROTOCOL: &str = "http/1.1";

/// What handshakes need.
#[derive(Clone)]
pub(super) struct Shaker {
    tls: Arc<ClientConfig>,
    witness: Arc<Witness>,
}

/// A connection that broke before it could carry requests: for `go`'s user, and for the timeline.
pub(super) struct Broken {
    pub(super) error: UpstreamError,
    pub(super) hello: Option<OwnHello>,
    pub(super) failure: AttemptFailure,
}

impl Shaker {
    /// Trusts these certificates, and no others. Without any, no host is trusted.
    pub(super) fn new(roots: RootCertStore) -> Result<Self, UpstreamError> {
        let failed = |error: &dyn std::fmt::Display| {
            UpstreamError::lasting(FailureKind::Tls, format!("set up TLS: {error}"))
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let verifier = Arc::new(Witness::new(roots, &provider).map_err(|error| failed(&error))?);
        let mut tls = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_no_client_auth();
        tls.alpn_protocols = vec![PROTOCOL.into()];
        Ok(Self {
            tls: Arc::new(tls),
            witness: verifier,
        })
    }

    /// Shakes hands with `host` within `limit`.
    pub(super) async fn shake(
        &self,
        stream: BoxStream,
        host: &str,
        remote: SocketAddr,
        limit: Duration,
    ) -> Result<(BoxStream, OwnHello), Broken> {
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(bare.clone()).map_err(|_| {
            let story = format!("{host} is not a host name that a certificate can have");
            Broken {
                failure: AttemptFailure::Other {
                    error: story.clone(),
                },
                error: UpstreamError::lasting(FailureKind::Request, story),
                hello: None,
            }
        })?;
        let sent = Arc::new(AtomicU32::new(0));
        let stream = Counted {
            stream,
            sent: Arc::clone(&sent),
            answered: false,
        };
        let hello = || OwnHello {
            bytes: sent.load(Ordering::Relaxed),
            alpn: vec![PROTOCOL.to_owned()],
        };
        let shaken = timeout(
            limit,
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream),
        );
        match shaken.await {
            Ok(Ok(stream)) => Ok((Box::new(stream), hello())),
            Ok(Err(error)) => {
                let issuer = self.witness.issuer(&bare);
                Err(Broken {
                    hello: Some(hello()),
                    failure: failure(&error, issuer.as_deref()),
                    error: UpstreamError::handshake(host, remote, issuer.as_deref(), &error),
                })
            }
            Err(_) => Err(Broken {
                hello: Some(hello()),
                failure: AttemptFailure::Silent,
                error: late(Phase::Hello, format_args!("{host} ({remote})"), limit),
            }),
        }
    }
}

fn failure(error: &io::Error, issuer: Option<&str>) -> AttemptFailure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(reason)), _) => AttemptFailure::Untrusted {
            issuer: issuer.unwrap_or("an authority without a name").to_owned(),
            reason: reason.to_string(),
            // A bad signature is of somebody who takes the name of an authority that is known.
            unknown_authority: matches!(
                reason,
                CertificateError::UnknownIssuer | CertificateError::BadSignature
            ),
        },
        (Some(rustls::Error::AlertReceived(alert)), _) => AttemptFailure::Alert {
            description: alert_name(u8::from(*alert)),
        },
        (None, io::ErrorKind::UnexpectedEof) => AttemptFailure::Closed,
        (None, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => AttemptFailure::Reset,
        _ => AttemptFailure::Other {
            error: error.to_string(),
        },
    }
}

/// Counts what goes out before the first answer: the `ClientHello`.
struct Counted {
    stream: BoxStream,
    sent: Arc<AtomicU32>,
    answered: bool,
}

impl Counted {
    fn count(&self, written: &io::Result<usize>) {
        if let (false, Ok(bytes)) = (self.answered, written) {
            self.sent.fetch_add(*bytes as u32, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.answered |= buffer.filled().len() > before;
        Poll::Ready(read)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.count(&written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes));
        self.count(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
