// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client that only fetches: many connections, HTTP/1.1, one request after another on each, nothing kept. What it
//! takes is the least that any downloader with so many connections could.

use std::{
    collections::VecDeque,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

/// The most that is read from a connection at once.
const READ_BUFFER: usize = 64 * 1024;

/// What to fetch.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// The host, port 443.
    #[arg(long)]
    host: String,
    /// Connections at once.
    #[arg(long)]
    connections: usize,
    /// The certificate to trust, PEM.
    #[arg(long)]
    authority: PathBuf,
    /// A file of paths, one a line, fetched in this order.
    #[arg(long)]
    paths: PathBuf,
}

type Queue = Arc<Mutex<VecDeque<String>>>;

/// Fetches all of them.
pub(crate) fn all(files: &Files) -> Result<()> {
    let paths = fs::read_to_string(&files.paths)
        .with_context(|| format!("cannot read {}", files.paths.display()))?;
    let queue: Queue = Arc::new(Mutex::new(paths.lines().map(str::to_owned).collect()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&files.authority)
        .with_context(|| format!("cannot read {}", files.authority.display()))?
    {
        roots
            .add(certificate.context("not a certificate")?)
            .context("not a certificate")?;
    }
    let mut tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("setting up TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsConnector::from(Arc::new(tls));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let address = tokio::net::lookup_host((files.host.as_str(), 443))
            .await
            .with_context(|| format!("cannot look up {}", files.host))?
            .next()
            .with_context(|| format!("{} has no address", files.host))?;
        let mut connections = JoinSet::new();
        for _ in 0..files.connections {
            let (tls, host, queue) = (tls.clone(), files.host.clone(), Arc::clone(&queue));
            connections.spawn(async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let stream = tls.connect(name, stream).await?;
                in_turn(TokioIo::new(stream), &host, &queue).await
            });
        }
        while let Some(ended) = connections.join_next().await {
            ended
                .context("a connection's task ended")?
                .with_context(|| format!("a connection to {} ({address}) failed", files.host))?;
        }
        Ok(())
    })
}

async fn in_turn<S>(stream: TokioIo<S>, host: &str, queue: &Queue) -> Result<()>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    while let Some(path) = next(queue) {
        sender.ready().await?;
        let request = Request::get(format!("/{path}"))
            .header(HOST, host)
            .body(Empty::<Bytes>::new())?;
        let mut response = sender.send_request(request).await?;
        ensure!(
            response.status() == StatusCode::OK,
            "/{path}: {}",
            response.status()
        );
        while let Some(frame) = response.frame().await {
            frame?;
        }
    }
    Ok(())
}

fn next(queue: &Queue) -> Option<String> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front()
}
