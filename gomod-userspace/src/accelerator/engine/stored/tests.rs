// SPDX-License-Identifier: MIT OR Apache-2.0

use std::ffi::CString;
use std::io::{Cursor, Write as _};

use tempfile::TempDir;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::accelerator::spool::spool;
use crate::golang::GoSum;
use crate::golang::settings::{EnvFile, Environment, Sources};
use crate::launch::{Invoker, Source};

const PROXY: &str = "https://p.example/go";

struct Run {
    stored: Arc<Stored>,
    sums: Arc<Sums>,
}

/// A run of a user whose cache is in this directory.
fn run(cache: &TempDir) -> Run {
    let entry = format!("XDG_CACHE_HOME={}", cache.path().display());
    let caller = Invoker {
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        groups: Vec::new(),
        environment: vec![CString::new(entry).unwrap()],
        umask: None,
        source: Source::Plain,
    };
    let sums = Arc::new(Sums::default());
    let store = Store::open(&caller, 1 << 30).unwrap();
    let stored = Stored::new(store, Arc::clone(&sums));
    let environment = Environment::from_entries([
        format!("GOPROXY={PROXY},direct").as_bytes(),
        b"GOSUMDB=off",
        b"GOPRIVATE=private.example",
        b"GONOPROXY=none",
        b"HOME=/nonexistent",
    ]);
    let sources = Sources {
        environment: &environment,
        user_file: &EnvFile::Missing,
        goroot_file: &EnvFile::Missing,
        go_version: None,
    };
    stored.meet(&Settings::effective(&sources).unwrap());
    Run { stored, sums }
}

fn url(below: &str) -> Url {
    Url::parse(&format!("{PROXY}/{below}")).unwrap()
}

fn zip(size: usize) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer
        .start_file("example.com/M@v1.0.0/a", options)
        .unwrap();
    writer.write_all(&vec![b'a'; size]).unwrap();
    writer.finish().unwrap().into_inner()
}

fn came(bytes: &[u8]) -> Spool {
    let (mut writer, spool) = spool();
    writer.write(bytes.to_vec().into()).unwrap();
    writer.finish();
    spool
}

/// A line of go.sum for a zip.
fn sum(module: &str, bytes: &[u8]) -> GoSum {
    let hash = H1::of_zip(Cursor::new(bytes)).unwrap();
    GoSum::parse(format!("{module} v1.0.0 {hash}\n").as_bytes())
}

impl Run {
    fn keep(&self, below: &str, bytes: &[u8]) {
        self.stored
            .keep(&url(below), &HeaderMap::new(), came(bytes));
    }

    async fn settle(&self) {
        assert!(self.stored.settle(Duration::from_secs(60)).await);
        assert_eq!(self.stored.problem(), None);
    }

    async fn answer(&self, below: &str) -> Option<Vec<u8>> {
        let has = self.stored.has(&url(below)).await;
        let response = self.stored.answer(&url(below)).await;
        assert_eq!(has, response.is_some());
        let response = response?;
        let length = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, Ok(body.len()));
        Some(body.to_vec())
    }
}

const ZIP: &str = "example.com/%21m/@v/v1.0.0.zip";

#[tokio::test]
async fn what_was_verified_is_served_in_a_later_run() {
    for size in [10, 200_000] {
        let cache = tempfile::tempdir().unwrap();
        let bytes = zip(size);
        let first = run(&cache);
        first.sums.add(&sum("example.com/M", &bytes));
        assert_eq!(first.answer(ZIP).await, None);
        first.keep(ZIP, &bytes);
        first.settle().await;

        let second = run(&cache);
        assert_eq!(second.answer(ZIP).await, None, "no hash is known yet");
        second.sums.add(&sum("example.com/M", &bytes));
        assert!(second.answer(ZIP).await.unwrap() == bytes);
        for other in [
            "example.com/%21m/@v/v1.0.0.info",
            "example.com/%21m/@v/v1.0.0.mod",
            "example.com/%21m/@v/list",
            "example.com/%21m/@latest",
        ] {
            assert_eq!(second.answer(other).await, None, "{other}");
        }
        let elsewhere = Url::parse("https://other.example/go/").unwrap().join(ZIP);
        assert!(!second.stored.has(&elsewhere.unwrap()).await);
    }
}

#[tokio::test]
async fn what_is_wrong_cut_or_packed_is_never_kept() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = zip(5_000);
    let this = run(&cache);
    this.sums.add(&sum("example.com/M", &bytes));
    this.keep(ZIP, &zip(5_001));
    for end in [0, 1, 100, bytes.len() - 1] {
        this.keep(ZIP, &bytes[..end]);
    }
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    this.keep(ZIP, &changed);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    this.stored.keep(&url(ZIP), &headers, came(&bytes));
    let (writer, unfinished) = spool();
    this.stored.keep(&url(ZIP), &HeaderMap::new(), unfinished);
    drop(writer);
    this.settle().await;
    assert_eq!(this.answer(ZIP).await, None);
    let files = walk(cache.path());
    assert_eq!(files, Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn what_is_proven_after_it_came_is_kept_at_the_end() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = zip(5_000);
    let this = run(&cache);
    this.keep(ZIP, &bytes);
    this.keep("example.com/n/@v/v1.0.0.zip", &bytes);
    this.settle_writer().await;
    assert_eq!(walk(cache.path()).len(), 0, "nothing is proven yet");
    this.sums.learn(&sum("example.com/M", &bytes));
    this.settle().await;
    assert!(this.answer(ZIP).await.unwrap() == bytes);
    // The file, its record and its info; of the other module nothing.
    assert_eq!(walk(cache.path()).len(), 3);
}

#[tokio::test]
async fn private_modules_are_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = zip(5_000);
    let this = run(&cache);
    this.sums.add(&sum("private.example/M", &bytes));
    this.keep("private.example/%21m/@v/v1.0.0.zip", &bytes);
    this.settle().await;
    assert_eq!(walk(cache.path()).len(), 0);
}

#[tokio::test]
async fn a_damaged_file_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = zip(200_000);
    let this = run(&cache);
    this.sums.add(&sum("example.com/M", &bytes));
    this.keep(ZIP, &bytes);
    this.settle().await;
    let path = cache
        .path()
        .join("gomod-trace/download/example.com/!m/@v/v1.0.0.zip");
    let mut damaged = bytes.clone();
    damaged[150_000] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    assert!(this.stored.answer(&url(ZIP)).await.is_none());
    assert!(!path.exists());
    this.keep(ZIP, &bytes);
    this.settle().await;
    assert!(this.answer(ZIP).await.unwrap() == bytes);
}

impl Run {
    /// Waits for what came, without keeping what became provable.
    async fn settle_writer(&self) {
        self.stored.waiting.none().await;
    }
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn no_more_waits_than_there_is_room_for() {
    let waiting = Arc::<Waiting>::default();
    let bodies: Vec<_> = (0..=WAITING.files)
        .map(|_| waiting.place(&came(b"x")))
        .collect();
    let places = bodies.iter().filter(|place| place.is_some()).count();
    assert_eq!(places, WAITING.files);
    assert!(bodies[WAITING.files].is_none());
    drop(bodies);
    assert!(waiting.is_empty());
    let many = Load {
        files: 1,
        bytes: WAITING.bytes + 1,
    };
    assert!(!many.is_within(WAITING));
}
