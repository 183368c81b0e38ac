// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole TLS handshake with the certificate checked as strictly as `go` checks it.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, client::WebPkiServerVerifier,
    crypto::ring::default_provider, pki_types::ServerName,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::task::{Ending, Failure, Route},
    Trace, broken,
    dial::dial,
    issuer::Witness,
};

/// A handshake, and no more.
pub(super) async fn shake(
    route: &Route,
    name: &str,
    roots: &Arc<RootCertStore>,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let shaken = encrypt(route, name, &[b"h2", b"http/1.1"], roots, limit, trace).await?;
    let Shaken { stream, issuer } = match shaken {
        Ok(shaken) => shaken,
        Err(ending) => return Ok(ending),
    };
    let version = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "unknown",
    };
    Ok(Ending::Trusted {
        issuer,
        version: version.to_owned(),
    })
}

/// An encrypted stream and who signed its certificate.
pub(super) struct Shaken {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) issuer: String,
}

/// Connects and shakes hands; the inner error is an end that is no failure of the network.
pub(super) async fn encrypt(
    route: &Route,
    name: &str,
    protocols: &[&[u8]],
    roots: &Arc<RootCertStore>,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Result<Shaken, Ending>, Failure> {
    let system = |what: String| Failure::System { what };
    let server =
        ServerName::try_from(name.to_owned()).map_err(|error| system(error.to_string()))?;
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| {
                system(format!(
                    "the certificates that this machine trusts: {error}"
                ))
            })?;
    let witness = Arc::new(Witness::new(verifier));
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| system(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<_>)
        .with_no_client_auth();
    configuration.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = dial(route, limit, trace).await?;
    let began = Instant::now();
    let connected = timeout(
        limit,
        TlsConnector::from(Arc::new(configuration)).connect(server, stream),
    )
    .await;
    trace.took = began.elapsed();
    let seen = witness.seen();
    match connected {
        Err(_) => Err(Failure::Timeout),
        Ok(Ok(stream)) => Ok(Ok(Shaken {
            stream,
            issuer: seen.issuer,
        })),
        Ok(Err(_)) if seen.refused.is_some() => {
            let refused = seen
                .refused
                .unwrap_or_else(|| unreachable!("checked above"));
            Ok(Err(Ending::Untrusted {
                issuer: seen.issuer,
                reason: refused.reason,
                unknown_issuer: refused.unknown_issuer,
            }))
        }
        Ok(Err(error)) => {
            let tls = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(rustls::Error::AlertReceived(alert)) => Ok(Err(Ending::Alert {
                    code: u8::from(*alert),
                    description: format!("{alert:?}"),
                })),
                Some(rustls::Error::InvalidMessage(_)) => Ok(Err(Ending::NotTls {
                    beginning: String::new(),
                })),
                _ => Err(broken(&error)),
            }
        }
    }
}
