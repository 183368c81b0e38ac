// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS servers: read the `ClientHello`, apply the faults of servers to it, then shake hands and speak HTTP.

use std::io;
use std::sync::Arc;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Internet;
use super::http::{Site, speak};
use super::wiretap::{Scissors, Wiretap};
use crate::addresses::{Family, Host};
use crate::fault::FaultKind;
use crate::log::Connection;
use crate::wire::client_hello::{ClientHello, Inspection, inspect};

const ALERT_RECORD: u8 = 21;
const FATAL: u8 = 2;

pub(crate) async fn serve(internet: Arc<Internet>, host: Host, listener: TcpListener) {
    let host = Arc::new(host);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let family = Family::of(&peer);
        let internet = Arc::clone(&internet);
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            if let Err(error) = serve_connection(internet, &host, family, stream).await {
                tracing::debug!(host = host.name, %error, "connection ended");
            }
        });
    }
}

async fn serve_connection(
    internet: Arc<Internet>,
    host: &Arc<Host>,
    family: Family,
    mut stream: TcpStream,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (hello, beginning) = read_hello(&mut stream).await?;
    let name = hello
        .server_name
        .clone()
        .unwrap_or_else(|| host.name.clone());
    let offers_h2 = hello.protocols.iter().any(|protocol| protocol == "h2");
    let fault = internet.faults.happens(&name, |fault| {
        let acts_here = match fault.kind {
            FaultKind::H2HelloSilence => offers_h2,
            FaultKind::TlsAlert(_) | FaultKind::TlsClose | FaultKind::UntrustedCertificate => true,
            _ => false,
        };
        acts_here && fault.concerns(&name, family)
    });
    if let Some(fault) = fault {
        internet.log.act(
            fault,
            name.as_str(),
            format!("ClientHello of {} bytes", beginning.len()),
        );
    }
    match fault {
        Some(FaultKind::H2HelloSilence) => {
            // Until the client gives up; its bytes are taken, never answered.
            let mut sink = [0; 4096];
            while stream.read(&mut sink).await? > 0 {}
            return Ok(());
        }
        Some(FaultKind::TlsAlert(description)) => {
            stream
                .write_all(&[ALERT_RECORD, 3, 3, 0, 2, FATAL, description])
                .await?;
            return stream.shutdown().await;
        }
        Some(FaultKind::TlsClose) => return stream.shutdown().await,
        _ => {}
    }
    let trusted = fault != Some(FaultKind::UntrustedCertificate);
    // A name that this address does not serve gets the host's own certificate, as most servers do.
    let configuration = internet
        .certificates
        .configuration(&name, trusted)
        .or_else(|| internet.certificates.configuration(&host.name, trusted))
        .ok_or_else(|| io::Error::other("no certificate for this host"))?;
    let scissors = Scissors::new();
    let wiretap = Wiretap::new(stream, beginning, &scissors);
    let socket = wiretap.second_descriptor()?;
    let encrypted = TlsAcceptor::from(configuration).accept(wiretap).await?;
    internet.log.connection(Connection {
        at: internet.log.now(),
        host: host.name.clone(),
        resumed: encrypted.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed),
    });

    let site = Site {
        internet,
        host: Arc::clone(host),
        family,
        secure: true,
    };
    speak(encrypted, socket, scissors, site).await
}

/// The `ClientHello`, and all bytes read for it.
async fn read_hello(stream: &mut TcpStream) -> io::Result<(ClientHello, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match inspect(&bytes) {
            Inspection::Complete(hello) => return Ok((hello, bytes)),
            Inspection::Incomplete(_) if bytes.len() < 64 * 1024 => {}
            // The TLS library will say what is wrong with it.
            Inspection::Incomplete(_) | Inspection::NotHello => {
                return Ok((ClientHello::default(), bytes));
            }
        }
    }
}
