// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS servers: read the `ClientHello`, apply the faults of servers to it, then shake hands and speak HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Internet;
use super::wiretap::{Scissors, Wiretap, end};
use crate::addresses::{Family, Host};
use crate::fault::FaultKind;
use crate::log::Connection;
use crate::wire::client_hello::{ClientHello, Inspection, inspect};

const ALERT_RECORD: u8 = 21;
const FATAL: u8 = 2;
/// A connection that is to be cut has written all it had once nothing was written for so long.
const QUIET: Duration = Duration::from_millis(100);

pub(crate) async fn serve(internet: Arc<Internet>, host: Host, listener: TcpListener) {
    let host = Arc::new(host);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let family = if peer.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
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
    let fault = internet.faults.find(|fault| {
        let acts_here = match fault.kind {
            FaultKind::H2HelloSilence => offers_h2,
            FaultKind::TlsAlert(_) | FaultKind::TlsClose | FaultKind::UntrustedCertificate => true,
            _ => false,
        };
        (acts_here && fault.concerns(&name, family)).then_some(fault.kind)
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

    let service = {
        let (internet, host, scissors) =
            (Arc::clone(&internet), Arc::clone(host), scissors.clone());
        service_fn(move |request| {
            super::http::respond(
                Arc::clone(&internet),
                Arc::clone(&host),
                family,
                scissors.clone(),
                request,
            )
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250);
    builder.http1().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(encrypted), service);
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
