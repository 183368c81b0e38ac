// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module proxy on the loopback interface whose certificate nobody trusts yet.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// It answers every request as if there were one version of one module.
pub(crate) struct ModuleProxy {
    /// `https://localhost:PORT`
    pub(crate) url: String,
    /// The authority that issued its certificate, PEM.
    pub(crate) authority: String,
}

impl ModuleProxy {
    pub(crate) fn start() -> Self {
        let (authority, issuer) = authority();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let configuration = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let configuration = Arc::new(configuration);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        // It ends with the test process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let configuration = Arc::clone(&configuration);
                // A client that refuses the certificate is an error here.
                thread::spawn(move || answer(client, configuration));
            }
        });
        Self { url, authority }
    }
}

/// A certificate authority of its own, PEM, that issued nothing.
pub(crate) fn stranger() -> String {
    authority().0
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    // Not the name of what it issues: OpenSSL would take that for self-signed.
    params
        .distinguished_name
        .push(DnType::CommonName, "gomod-trace test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

fn answer(client: TcpStream, configuration: Arc<ServerConfig>) -> io::Result<()> {
    let connection = ServerConnection::new(configuration).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, client));
    let mut request = String::new();
    stream.read_line(&mut request)?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    while stream.read_line(&mut request)? > 2 {}
    let body = match path.rsplit_once('.') {
        Some((_, "mod")) => "module example.test/m\n",
        Some((_, "info")) => "{\"Version\":\"v1.0.0\"}\n",
        _ => "v1.0.0\n",
    };
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
