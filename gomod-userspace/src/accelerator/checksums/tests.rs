// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against databases in this process, on 127.0.0.1.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    database::{Door, DoorKind},
    *,
};
use crate::{
    accelerator::upstream::{
        Via,
        tests::{
            patient,
            server::{Answer as Reply, Seen, Server, answer, silence},
        },
    },
    golang::{
        H1, Settings,
        go_sum::Hashed,
        settings::{EnvFile, Environment, Sources},
        sumdb::tests::{grown, module, record, signer},
    },
};

const RECORDS: usize = 300;

/// Answers for a database of 300 records below `prefix`.
fn database(prefix: &'static str) -> impl Fn(&Seen) -> Reply + Clone + Send + Sync + 'static {
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    let (tree, tiles) = grown(&records);
    let (_, sign) = signer();
    let root = STANDARD.encode(tree.root);
    let note = sign(&format!("go.sum database tree\n{RECORDS}\n{root}\n"));
    let tiles: Vec<(String, Vec<u8>)> = tiles
        .into_iter()
        .map(|(tile, bytes)| (tile.path(), bytes))
        .collect();
    move |seen| {
        let path = seen.line.split(' ').nth(1).unwrap();
        let Some(path) = path.strip_prefix(prefix) else {
            return answer("404 Not Found", &[], b"not here\n");
        };
        if path == "supported" {
            return answer("200 OK", &[], b"");
        }
        if path == "latest" {
            return answer("200 OK", &[], note.as_bytes());
        }
        let lookup = (0..RECORDS).find(|number| Lookup::path(&module(*number)).unwrap() == path);
        if let Some(number) = lookup {
            let body = format!("{number}\n{}\n{note}", records[number]);
            return answer("200 OK", &[], body.as_bytes());
        }
        match tiles.iter().find(|(known, _)| known == path) {
            Some((_, bytes)) => answer("200 OK", &[], bytes),
            None => answer("404 Not Found", &[], b"no such thing\n"),
        }
    }
}

struct Run {
    checksums: Arc<Checksums>,
    sums: Arc<Sums>,
    asker: Arc<Asker>,
}

/// A process whose module proxy and checksum database these servers are.
fn run(proxy: Option<&Server>, own: &Server, explicit: bool, entries: &[&str]) -> Run {
    let own = Door {
        base: Url::parse(&own.url("http", "/")).unwrap(),
        kind: DoorKind::Own,
    };
    let proxy = proxy.map(|proxy| Door {
        base: Url::parse(&proxy.url("http", "/sumdb/sum.example/")).unwrap(),
        kind: DoorKind::Proxy { any_error: false },
    });
    let entries = entries.iter().map(|entry| entry.as_bytes());
    let known = [&b"GOPROXY=https://p.example"[..], b"GOSUMDB=sum.golang.org"];
    let settings = Settings::effective(&Sources {
        environment: &Environment::from_entries(known.into_iter().chain(entries)),
        user_file: &EnvFile::Missing,
        goroot_file: &EnvFile::Missing,
        go_version: None,
    });
    let mut asker = Asker::new(settings.unwrap(), Via::direct(), true);
    asker.database = Some(Database {
        verifier: signer().0,
        key: "sum.example".to_owned(),
        doors: proxy.into_iter().chain([own]).collect(),
        explicit,
    });
    let sums = Arc::new(Sums::default());
    let limits = ChecksumLimits {
        patience: Duration::from_millis(200),
        lookup: Duration::from_secs(2),
        other: Duration::from_secs(2),
        ..ChecksumLimits::default()
    };
    let upstream = patient(&["127.0.0.1"]);
    Run {
        checksums: Checksums::new(upstream, Arc::clone(&sums), limits),
        sums,
        asker: Arc::new(asker),
    }
}

impl Run {
    /// Asks as `go` does.
    async fn ask(&self, server: &Server, path: &str) -> Result<(Arc<Answer>, Source), Unanswered> {
        let url = Url::parse(&server.url("http", path)).unwrap();
        self.checksums.answer(&self.asker, &url).await.unwrap()
    }

    /// Waits until a record is proven.
    async fn knows(&self, number: usize) {
        while self.sums.expected(&module(number), Hashed::Zip).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn paths(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let mut paths: Vec<_> = seen
        .iter()
        .map(|seen| seen.line.split(' ').nth(1).unwrap().to_owned())
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn what_is_foreseen_is_proven_once_and_answers_go() {
    let proxy = Server::plain(database("/sumdb/sum.example/")).await;
    let own = Server::plain(database("/")).await;
    let run = run(Some(&proxy), &own, false, &[]);
    run.checksums
        .foresee(&run.asker, [module(3), module(7), module(299)]);
    for number in [3, 7, 299] {
        run.knows(number).await;
    }
    assert_eq!(
        run.sums.expected(&module(7), Hashed::GoMod),
        Some(H1::of_go_mod(b"mod7"))
    );
    let before = paths(&proxy);
    for path in [
        "lookup/a.b/m7@v1.0.0",
        "tile/8/0/000",
        "tile/8/0/001.p/44",
        "tile/8/1/000.p/1",
    ] {
        let path = format!("/sumdb/sum.example/{path}");
        for _ in 0..2 {
            let (answer, source) = run.ask(&proxy, &path).await.unwrap();
            assert_eq!(
                (answer.status, source),
                (StatusCode::OK, Source::Prefetch),
                "{path}"
            );
        }
    }
    assert_eq!(paths(&proxy), before, "it was asked again");
    let mut once = before.clone();
    once.dedup();
    assert_eq!(once, before, "something was asked for twice");
    assert_eq!(own.seen().len(), 0, "the proxy answers for the database");
}

#[tokio::test]
async fn a_silent_database_is_asked_through_the_module_proxy() {
    let proxy = Server::plain(database("/sumdb/sum.example/")).await;
    let own = Server::plain(|_| silence()).await;
    let run = run(Some(&proxy), &own, true, &[]);
    let (answer, _) = run.ask(&own, "/lookup/a.b/m1@v1.0.0").await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    run.knows(1).await;
    assert_eq!(
        run.ask(&own, "/latest").await.unwrap().0.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_proxy_that_stops_answering_for_the_database_is_passed_by() {
    let whole = database("/sumdb/sum.example/");
    let dead = Arc::new(AtomicBool::new(false));
    let is_dead = Arc::clone(&dead);
    let proxy = Server::plain(move |seen| {
        if is_dead.load(Ordering::SeqCst) {
            answer("503 Service Unavailable", &[], b"")
        } else {
            whole(seen)
        }
    })
    .await;
    let own = Server::plain(database("/")).await;
    let run = run(Some(&proxy), &own, false, &[]);
    run.ask(&proxy, "/sumdb/sum.example/supported")
        .await
        .unwrap();
    dead.store(true, Ordering::SeqCst);
    let lookup = run
        .ask(&proxy, "/sumdb/sum.example/lookup/a.b/m1@v1.0.0")
        .await;
    assert_eq!(lookup.unwrap().0.status, StatusCode::OK);
    // That it can be asked is shown by the database's own signed tree.
    let supported = run
        .ask(&proxy, "/sumdb/sum.example/supported")
        .await
        .unwrap()
        .0;
    assert_eq!(
        (supported.status, &*supported.body),
        (StatusCode::OK, &b""[..])
    );
}

#[tokio::test]
async fn a_proxy_s_no_is_passed_on_and_the_database_itself_is_asked() {
    let proxy = Server::plain(|_| answer("404 Not Found", &[], b"no\n")).await;
    let own = Server::plain(database("/")).await;
    let run = run(Some(&proxy), &own, false, &[]);
    run.checksums.foresee(&run.asker, [module(5)]);
    run.knows(5).await;
    let supported = run
        .ask(&proxy, "/sumdb/sum.example/supported")
        .await
        .unwrap()
        .0;
    // The database's own word stands in only for a proxy that does not answer.
    assert_eq!(supported.status, StatusCode::NOT_FOUND);
    assert_eq!(
        paths(&proxy)
            .iter()
            .filter(|path| path.contains("lookup"))
            .count(),
        0
    );
}

#[tokio::test]
async fn with_all_doors_dead_the_error_is_honest_and_soon_known() {
    let own = Server::plain(|_| silence()).await;
    let run = run(None, &own, false, &[]);
    let first = run.ask(&own, "/lookup/a.b/m1@v1.0.0").await.unwrap_err();
    assert_eq!(first.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(first.story.contains("mod.test did not answer"), "{first}");
    let asked = own.seen().len();
    let second = run.ask(&own, "/lookup/a.b/m2@v1.0.0").await.unwrap_err();
    assert_eq!(second.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(own.seen().len(), asked, "known already");
}

#[tokio::test]
async fn what_can_t_be_proven_is_passed_on_and_not_kept() {
    let whole = database("/");
    let own = Server::plain(move |seen| {
        let mut reply = whole(seen);
        if seen.line.contains("/tile/8/1/") {
            // Same length, other hashes.
            *reply.bytes.last_mut().unwrap() ^= 1;
        }
        reply
    })
    .await;
    let run = run(None, &own, false, &[]);
    run.checksums.foresee(&run.asker, [module(299)]);
    let (answer, _) = run.ask(&own, "/lookup/a.b/m299@v1.0.0").await.unwrap();
    assert!(answer.body.starts_with(b"299\n"), "go judges for itself");
    while paths(&own).iter().all(|path| !path.contains("/tile/8/1/")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = own.seen().len();
    run.ask(&own, "/tile/8/0/001.p/44").await.unwrap();
    run.ask(&own, "/tile/8/0/001.p/44").await.unwrap();
    assert!(own.seen().len() > before, "an unproven tile was shared");
    assert_eq!(run.sums.expected(&module(299), Hashed::Zip), None);
}

#[tokio::test]
async fn private_modules_are_not_looked_up_and_stay_at_the_door_of_go() {
    let proxy = Server::plain(database("/sumdb/sum.example/")).await;
    let own = Server::plain(database("/")).await;
    let hidden = run(Some(&proxy), &own, false, &["GONOSUMDB=a.b"]);
    hidden.checksums.foresee(&hidden.asker, [module(1)]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((proxy.seen().len(), own.seen().len()), (0, 0));

    // GOSUMDB's own URL, and a module that the proxy is not asked for: nobody else may hear of it.
    let dead = Server::plain(|_| silence()).await;
    let run = run(Some(&proxy), &dead, true, &["GONOPROXY=a.b"]);
    run.ask(&dead, "/lookup/a.b/m1@v1.0.0").await.unwrap_err();
    assert_eq!(proxy.seen().len(), 0);
}
