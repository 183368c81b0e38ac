// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nameservers that fall silent once they have answered.

use std::{fs, thread, time::Duration};

use gomod_lab::{FaultKind, Lab, PROXY};
use libtest_mimic::Trial;

use super::{
    RESOLVER_MS, STARTS_OF_GO, addresses_are_right, after, all_answered_soon, latency,
    questions_at, rows,
};
use crate::harness::{
    DOWNLOAD, Outcome, Scratch, Traced, eventually, needs::DOWNLOADS, newest_go, product, trial,
};

pub(super) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("names::{name}"), DOWNLOADS.iter().copied(), test);
    vec![
        trial("expired_answers_serve_while_all_are_silent", stale),
        trial("what_is_known_is_enough_for_a_download", enough),
    ]
}

/// Runs `first`, silences the nameserver when `is_time`, and after `pause` lets the command go on with `then`.
fn silenced(
    lab: &Lab,
    name: &str,
    observe: bool,
    [first, then]: [&str; 2],
    is_time: impl Fn() -> bool,
    pause: Duration,
) -> Outcome {
    let project = lab.project().unwrap();
    let (marker, done) = (project.root().join("go-on"), project.root().join("done"));
    let script = format!(
        "{first}; touch {}; {}",
        done.display(),
        after(&marker, then)
    );
    let command = project.command(&newest_go(), product::path());
    let words = ["sh", "-c", &script];
    let traced = if observe {
        Traced::start(&format!("names::{name}::watched"), command, words)
    } else {
        let scratch = Scratch::new(&format!("names::{name}"));
        Traced::carried_in(scratch, command, &[], words)
    };
    eventually("the first command is over", String::new, || {
        (done.is_file() && is_time()).then_some(())
    });
    lab.set_fault(FaultKind::DnsDrop).unwrap();
    thread::sleep(pause);
    fs::write(&marker, "").unwrap();
    traced.finish()
}

fn stale() {
    const LOOKUP: &str = "getent ahosts proxy.golang.org";
    let ran = |observe| {
        let lab = Lab::builder().name_ttl(2).start().unwrap();
        let outcome = silenced(
            &lab,
            "stale",
            observe,
            [LOOKUP, LOOKUP],
            || true,
            Duration::from_secs(3),
        );
        addresses_are_right(&outcome, &lab, PROXY);
        outcome
    };
    let plain = ran(true);
    let last = rows(&plain, PROXY).into_iter().next_back().unwrap();
    assert_eq!(latency(last), None, "nobody answers any more");
    assert!(plain.report["wall_ms"].as_f64().unwrap() > RESOLVER_MS);

    let ours = ran(false);
    all_answered_soon(&ours);
    let rows = rows(&ours, PROXY);
    assert_eq!(rows.len(), 4, "A and AAAA, twice");
    for row in &rows[..2] {
        assert_eq!(row["source"], "network", "{row}");
    }
    for row in &rows[2..] {
        assert_eq!(row["source"], "stale", "{row}");
        assert!(!row["answers"].as_array().unwrap().is_empty(), "{row}");
    }
    assert!(
        ours.stderr.contains("expired, as no nameserver answered"),
        "{}",
        ours.stderr
    );
}

/// Neither `go` nor the connections that we make for it ask anybody again.
fn enough() {
    let download = DOWNLOAD.join(" ");
    let ran = |observe| {
        let lab = Lab::builder().start().unwrap();
        // Both questions are asked at once, and answered by then if we ask for them.
        let asked = || observe || questions_at(&lab, 1, PROXY) >= 2;
        silenced(
            &lab,
            "enough",
            observe,
            [STARTS_OF_GO, &download],
            asked,
            Duration::from_secs(1),
        )
    };
    let plain = ran(true);
    assert_eq!(plain.status.code(), Some(1), "{}", plain.stderr);
    assert!(plain.stderr.contains("lookup"), "{}", plain.stderr);

    let ours = ran(false);
    assert!(ours.status.success(), "{}", ours.stderr);
    assert_eq!(ours.report["mode"], "accelerate");
    all_answered_soon(&ours);
    for row in rows(&ours, PROXY) {
        assert_eq!(row["source"], "prewarmed", "{row}");
    }
    assert!(!ours.list("requests").is_empty(), "we fetched for it");
}
