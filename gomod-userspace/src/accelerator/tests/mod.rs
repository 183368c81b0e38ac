// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serving side over real TCP on loopback; a table stands in for the kernel.

mod go_command;
mod intercepted;
mod listening;
mod proxied;
mod spliced;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

pub(super) const HOST: &str = "modules.example";

/// Nothing here takes this long unless it hangs.
const HANG: Duration = Duration::from_secs(30);

/// Whoever waits for `future` in vain fails instead.
pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(HANG, future).await.expect("it hangs")
}

#[derive(Default)]
struct Table {
    origins: Mutex<HashMap<SocketAddr, Origin>>,
    next: AtomicU64,
}

impl Origins for Table {
    fn take(&self, peer: SocketAddr, _: SocketAddr) -> Option<Origin> {
        self.origins.lock().expect("not poisoned").remove(&peer)
    }
}

/// What is known of every process, and how often one is asked for before it is.
struct Settings {
    known: Known,
    after: AtomicU64,
}

impl Settings {
    fn of(policy: Option<Policy>) -> Self {
        Self {
            known: policy.map_or(Known::LeftAlone, |policy| Known::Policy(Arc::new(policy))),
            after: AtomicU64::new(0),
        }
    }
}

impl Policies for Settings {
    fn known(&self, _: &Origin) -> Known {
        let left = |left: u64| left.checked_sub(1);
        match self
            .after
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Known::NotYet,
            Err(_) => self.known.clone(),
        }
    }
}

/// Answers with what it was asked, or with bodies that end too early.
struct Echo;

impl Respond for Echo {
    fn respond<'a>(
        &'a self,
        session: &'a Session,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>> {
        Box::pin(async move {
            let path = request.uri().to_string();
            let length = match path.as_str() {
                "/cut/length" => Some("1000"),
                "/cut/chunked" => None,
                _ => {
                    let line = format!("{} {}:{}", path, session.host, session.port);
                    return text(StatusCode::OK, &line);
                }
            };
            let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(2);
            tokio::spawn(async move {
                let _ = sender
                    .send(Ok(Frame::data(Bytes::from_static(b"a beginning"))))
                    .await;
                // The beginning is on its way before the failure.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = sender.send(Err("upstream went away".into())).await;
            });
            let body = Cut(receiver).boxed_unsync();
            let mut response = Response::new(body);
            if let Some(length) = length {
                let value = http::HeaderValue::from_static(length);
                response.headers_mut().insert("content-length", value);
            }
            response
        })
    }
}

/// A body from a channel.
struct Cut(mpsc::Receiver<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context)
    }
}

/// A running accelerator whose kernel is a table.
pub(super) struct Bench {
    table: Arc<Table>,
    pub(super) address: SocketAddr,
    pub(super) serving: Serving,
    pub(super) told: mpsc::Receiver<Told>,
    roots: Arc<RootCertStore>,
}

/// A policy by which [`HOST`] serves modules on the port of `destination`, reached through no proxy.
pub(super) fn policy(destination: SocketAddr) -> Policy {
    Policy {
        module_hosts: BTreeSet::from([(HOST.to_owned(), destination.port())]),
        ..Policy::default()
    }
}

pub(super) fn bench(policy: Option<Policy>, limits: Limits) -> Bench {
    bench_of(Settings::of(policy), limits)
}

/// Nothing is known of a process the first `times` that it's asked for; `u64::MAX`: never.
pub(super) fn bench_of_newcomers(policy: Policy, times: u64) -> Bench {
    let settings = Settings::of(Some(policy));
    settings.after.store(times, Ordering::Relaxed);
    bench_of(settings, Limits::default())
}

fn bench_of(settings: Settings, limits: Limits) -> Bench {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let authority = Arc::new(Authority::new([HOST]).expect("an authority"));
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes());
    roots.add(root.expect("PEM")).expect("a root");
    let table = Arc::<Table>::default();
    let accelerator = Accelerator::new(Parts {
        origins: Arc::clone(&table) as Arc<dyn Origins>,
        policies: Arc::new(settings),
        respond: Arc::new(Echo),
        authority,
        limits,
    });
    let (serving, told) = accelerator
        .expect("prepared")
        .serve(vec![listener])
        .expect("serving");
    Bench {
        table,
        address,
        serving,
        told,
        roots: Arc::new(roots),
    }
}

impl Bench {
    /// A connection that the kernel redirected on its way to `destination`.
    pub(super) async fn dial(&self, destination: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let origin = Origin {
            destination,
            pid: Pid(1),
            cookie: SocketCookie(self.table.next.fetch_add(1, Ordering::Relaxed)),
        };
        let peer = socket.local_addr().expect("an address");
        self.table
            .origins
            .lock()
            .expect("not poisoned")
            .insert(peer, origin);
        soon(socket.connect(self.address)).await.expect("accepted")
    }

    /// Shakes hands over `stream` as a client that trusts the run's authority.
    pub(super) async fn hands(
        &self,
        stream: TcpStream,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        hands(stream, Arc::clone(&self.roots), protocols).await
    }

    pub(super) async fn decision(&mut self) -> (Way, Why, Option<String>) {
        loop {
            match soon(self.told.recv()).await.expect("serving") {
                Told::Connection { way, why, host, .. } => return (way, why, host),
                Told::Ended { .. } => {}
            }
        }
    }

    pub(super) async fn ended(&mut self) -> (u64, (u64, u64), Option<String>) {
        loop {
            match soon(self.told.recv()).await.expect("serving") {
                Told::Connection { .. } => {}
                Told::Ended {
                    requests,
                    sent,
                    received,
                    error,
                    ..
                } => return (requests, (sent, received), error),
            }
        }
    }
}

pub(super) async fn hands(
    stream: TcpStream,
    roots: Arc<RootCertStore>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().into())
        .collect();
    let name = ServerName::try_from(HOST).expect("a name");
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// Where connections want to go.
pub(super) async fn destination() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

pub(super) async fn accepted(listener: &TcpListener) -> TcpStream {
    soon(listener.accept()).await.expect("a connection").0
}

pub(super) fn is_reset(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionReset
}
