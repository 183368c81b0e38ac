// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--dns tls://…` and `https://…`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::FakeServer;
use super::{Running, answer_wire, ask_for, query, read};
use crate::nameserver::exchange::{read_message, write_message};
use crate::nameserver::stub::StubOptions;
use crate::nameserver::told::UpstreamTransport;

/// A certificate for 127.0.0.1 that is its own root.
fn tls(protocol: &[u8]) -> (RootCertStore, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    (roots, TlsAcceptor::from(Arc::new(config)))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Asks for three names; each is answered, by `transport`, and the client's own server is left alone.
async fn asks(upstream: &str, roots: RootCertStore, transport: UpstreamTransport) {
    let asked_by_client = FakeServer::fine(60).await;
    let options = StubOptions {
        upstream: Some(upstream.parse().unwrap()),
        roots,
        ..StubOptions::default()
    };
    let mut stub = Running::with(&[&asked_by_client], options);
    for name in ["one.example", "two.example", "three.example"] {
        let asked = query(name, 1, 8, true);
        assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 3);
        assert_eq!(stub.exchanged().await.transport, transport);
    }
    // No plain question goes there too.
    let mut chaos = query("version.bind", 16, 77, true);
    let class = chaos.len() - 12;
    chaos[class] = 3;
    stub.ask(&chaos).await;
    assert!(asked_by_client.queries().is_empty());
}

#[tokio::test]
async fn dns_over_tls_uses_a_connection_again() {
    let (roots, acceptor) = tls(b"dot");
    let (listener, address) = listen().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                while let Ok(Some(query)) = read_message(&mut stream).await {
                    let answer = answer_wire(&query, 0, 60, 3);
                    write_message(&mut stream, &answer).await.unwrap();
                }
            });
        }
    });
    asks(&format!("tls://{address}"), roots, UpstreamTransport::Tls).await;
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn dns_over_https_posts_the_message() {
    let (roots, acceptor) = tls(b"h2");
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(post))
                    .await;
            });
        }
    });
    asks(
        &format!("https://{address}/resolve"),
        roots,
        UpstreamTransport::Https,
    )
    .await;
}

async fn post(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/resolve");
    assert_eq!(request.headers()["content-type"], "application/dns-message");
    let query = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::from(answer_wire(&query, 0, 60, 3))))
}

#[tokio::test]
async fn a_server_with_a_strangers_certificate_is_not_believed() {
    let (_, acceptor) = tls(b"dot");
    let (roots, _) = tls(b"dot");
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err());
        }
    });
    let client_asks = FakeServer::fine(60).await;
    let options = StubOptions {
        upstream: Some(format!("tls://{address}").parse().unwrap()),
        roots,
        ..StubOptions::default()
    };
    let mut stub = Running::with(&[&client_asks], options);
    let wait = std::time::Duration::from_secs(1);
    assert_eq!(
        ask_for(stub.stub(), &query("proxy.example", 1, 8, true), wait).await,
        None
    );
    let told = stub.exchanged().await;
    assert!(
        format!("{:?}", told.outcome).contains("certificate"),
        "{told:?}"
    );
    assert!(
        client_asks.queries().is_empty(),
        "and nobody else is asked in its stead"
    );
}
