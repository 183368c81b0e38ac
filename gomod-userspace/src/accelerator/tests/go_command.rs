// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real `go` command against the run's authority. Toolchains are looked for as the lab does: in
//! `GOMOD_TRACE_GO_DIR`, else in `go` in the target directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use rcgen::SanType;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use super::*;

const ZIP_CONTENT: &str = "package m\n";

struct Everyone(SocketAddr);

impl Origins for Everyone {
    fn take(&self, peer: SocketAddr, _: SocketAddr) -> Option<Origin> {
        Some(Origin {
            destination: self.0,
            pid: Pid(1),
            cookie: SocketCookie(peer.port().into()),
        })
    }
}

/// One module, `example.com/m@v1.0.0`.
struct Module;

impl Respond for Module {
    fn respond<'a>(
        &'a self,
        _: &'a Session,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>> {
        let body = match request.uri().path() {
            "/example.com/m/@v/v1.0.0.info" => br#"{"Version":"v1.0.0"}"#.to_vec(),
            "/example.com/m/@v/v1.0.0.mod" => b"module example.com/m\n".to_vec(),
            "/example.com/m/@v/v1.0.0.zip" => archive(),
            path => {
                let answer = text(StatusCode::BAD_GATEWAY, path);
                return Box::pin(async { answer });
            }
        };
        let body = http_body_util::Full::new(Bytes::from(body))
            .map_err(|never| match never {})
            .boxed_unsync();
        Box::pin(async { Response::new(body) })
    }
}

fn archive() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in [("go.mod", "module example.com/m\n"), ("m.go", ZIP_CONTENT)] {
        zip.start_file(format!("example.com/m@v1.0.0/{name}"), options)
            .expect("a file");
        zip.write_all(content.as_bytes()).expect("written");
    }
    zip.finish().expect("an archive").into_inner()
}

/// All toolchains there are, by directory.
fn toolchains() -> Vec<PathBuf> {
    let directory = std::env::var_os("GOMOD_TRACE_GO_DIR").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
                || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
                PathBuf::from,
            );
            target.join("go")
        },
        PathBuf::from,
    );
    let mut found = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/go"))
        .filter(|go| go.is_file())
        .collect::<Vec<_>>();
    found.sort();
    assert!(
        !found.is_empty(),
        "no Go toolchain in {}; set GOMOD_TRACE_GO_DIR to the directory that holds VERSION/bin/go",
        directory.display()
    );
    found
}

async fn download(go: &Path, port: u16, authority: &Authority, home: &Path) -> Output {
    let bundle = home.join("bundle.pem");
    std::fs::write(&bundle, authority.certificate_pem()).expect("written");
    let nothing = home.join("nothing");
    std::fs::create_dir_all(&nothing).expect("made");
    let run = tokio::process::Command::new(go)
        .args(["mod", "download", "example.com/m@v1.0.0"])
        .env_clear()
        .env("HOME", home)
        .env("GOENV", "off")
        .env("GOMODCACHE", home.join("mod"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOPROXY", format!("https://localhost:{port}"))
        .env("GOSUMDB", "off")
        .env("GOTOOLCHAIN", "local")
        .env("SSL_CERT_FILE", bundle)
        .env("SSL_CERT_DIR", nothing)
        .current_dir(home)
        .kill_on_drop(true)
        .output();
    soon(run).await.expect("run")
}

/// Serves the module under `authority` at the address of its own listener.
fn served(authority: &Arc<Authority>) -> (Serving, mpsc::Receiver<Told>, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let policy = Policy {
        module_hosts: BTreeSet::from([("localhost".to_owned(), address.port())]),
        ..Policy::default()
    };
    let accelerator = Accelerator::new(Parts {
        origins: Arc::new(Everyone(address)),
        policies: Arc::new(Settings::of(Some(policy))),
        respond: Arc::new(Module),
        authority: Arc::clone(authority),
        limits: Limits::default(),
    });
    let (serving, told) = accelerator
        .expect("prepared")
        .serve(vec![listener])
        .expect("serving");
    (serving, told, address.port())
}

#[tokio::test]
async fn every_go_downloads_a_module_from_us() {
    let authority = Arc::new(Authority::new(["localhost"]).expect("an authority"));
    let (_serving, mut told, port) = served(&authority);
    for go in toolchains() {
        let home = tempfile::tempdir().expect("a directory");
        let output = download(&go, port, &authority, home.path()).await;
        assert!(output.status.success(), "{}: {output:?}", go.display());
        let file = home.path().join("mod/example.com/m@v1.0.0/m.go");
        assert_eq!(std::fs::read_to_string(file).expect("there"), ZIP_CONTENT);
    }
    while let Ok(told) = told.try_recv() {
        if let Told::Connection { way, .. } = told {
            assert_eq!(way, Way::Accelerated);
        }
    }
}

#[tokio::test]
async fn a_go_that_does_not_trust_us_says_so_and_is_heard() {
    let authority = Arc::new(Authority::new(["localhost"]).expect("an authority"));
    let stranger = Authority::new(["localhost"]).expect("an authority");
    let (_serving, mut told, port) = served(&authority);
    let home = tempfile::tempdir().expect("a directory");
    let go = toolchains().pop().expect("a toolchain");
    let output = download(&go, port, &stranger, home.path()).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("x509"), "{said}");
    loop {
        if let Told::Ended { error, .. } = soon(told.recv()).await.expect("serving") {
            let error = error.expect("a reason");
            assert!(
                error.contains("the client rejected our certificate"),
                "{error}"
            );
            break;
        }
    }
}

/// Gives the same certificate for whatever name.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn go_refuses_a_name_that_the_authority_is_not_for_though_it_signed() {
    let authority = Authority::new(["other.example"]).expect("an authority");
    let name = SanType::DnsName("localhost".try_into().expect("a name"));
    let leaf = Always(Arc::new(authority.sign(name).expect("signed")));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(leaf));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, address) = destination().await;
    let server = tokio::spawn(async move {
        loop {
            let stream = accepted(&listener).await;
            drop(acceptor.accept(stream).await);
        }
    });
    for go in toolchains() {
        let home = tempfile::tempdir().expect("a directory");
        let output = download(&go, address.port(), &authority, home.path()).await;
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("not permitted by any constraint"), "{said}");
    }
    server.abort();
}
