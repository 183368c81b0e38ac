// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS over TLS (RFC 7858), on connections that are used again.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::dns_server::Peer;
use super::stream::{read_message, write_message};
use super::{connect, ended, in_time};

/// Connections kept for the next question.
const MAX_IDLE: usize = 8;
/// How long.
const IDLE: Duration = Duration::from_secs(8);

/// The server's own name can't be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{server} has no address: {why}")]
pub struct NoAddress {
    /// Its name and port.
    pub server: String,
    /// Why.
    pub why: String,
}

/// A server.
pub(in super::super) struct Tls {
    peer: Peer,
    connector: TlsConnector,
    idle: Mutex<Vec<(Instant, TlsStream<TcpStream>)>>,
}

impl Tls {
    pub(in super::super) fn new(peer: Peer, roots: RootCertStore) -> Self {
        Self {
            peer,
            connector: connector(roots, b"dot"),
            idle: Mutex::default(),
        }
    }

    /// Sends `message`, on a connection that is open already if there is one.
    pub(in super::super) async fn exchange(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        in_time(async {
            if let Some(mut open) = self.take() {
                // The server may have closed it meanwhile: then a new one tells more.
                if let Ok(answer) = Self::ask(&mut open, message).await {
                    self.put_back(open);
                    return Ok(answer);
                }
            }
            let mut fresh = secure(&self.connector, &self.peer).await?;
            let answer = Self::ask(&mut fresh, message).await?;
            self.put_back(fresh);
            Ok(answer)
        })
        .await
    }

    async fn ask(stream: &mut TlsStream<TcpStream>, message: &[u8]) -> io::Result<Vec<u8>> {
        write_message(stream, message).await?;
        read_message(stream).await?.ok_or_else(ended)
    }

    fn take(&self) -> Option<TlsStream<TcpStream>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < IDLE);
        idle.pop().map(|(_, stream)| stream)
    }

    fn put_back(&self, stream: TlsStream<TcpStream>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push((Instant::now(), stream));
        }
    }
}

/// Speaks TLS and this application protocol.
pub(super) fn connector(roots: RootCertStore, protocol: &[u8]) -> TlsConnector {
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Connects to the first address that takes it.
pub(super) async fn secure(
    connector: &TlsConnector,
    peer: &Peer,
) -> io::Result<TlsStream<TcpStream>> {
    let addresses = match &peer.name {
        ServerName::IpAddress(address) => vec![SocketAddr::new((*address).into(), peer.port)],
        name => tokio::net::lookup_host((name.to_str().as_ref(), peer.port))
            .await
            .map_err(|error| no_address(peer, &error.to_string()))?
            .collect(),
    };
    let mut failure = no_address(peer, "nothing was found");
    for address in addresses {
        match connect(address).await {
            Ok(stream) => return connector.connect(peer.name.clone(), stream).await,
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn no_address(peer: &Peer, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        NoAddress {
            server: peer.to_string(),
            why: why.to_owned(),
        },
    )
}
