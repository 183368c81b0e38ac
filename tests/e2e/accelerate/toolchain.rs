// SPDX-License-Identifier: MIT OR Apache-2.0
//! The largest file of all: another toolchain.

use std::collections::BTreeSet;

use gomod_lab::{Modules, toolchain};
use libtest_mimic::Trial;

use super::{PlainGo, Run, asked_for, count_anew, fault, is_complete, near, succeeded};
use crate::harness::{Need, needs::NEWEST_GO, newest_go, traced::number, trial};

const OLD: &str = "1.26";

pub(super) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Lab, Need::Go(OLD), Need::Go(NEWEST_GO)];
    vec![trial(
        "accelerate::a_newer_toolchain_is_downloaded_then_used",
        needs,
        newer,
    )]
}

fn newer() {
    let new = newest_go();
    let lab = near(5)
        .modules(Modules::many(3))
        .toolchain(new.clone())
        .fault(fault("body-cut=50%,path=*/toolchain/*,times=1"))
        .start()
        .unwrap();
    let old = toolchain::find(OLD).unwrap();
    let run = Run {
        toolchain: old.clone(),
        ..Run::default().with(&[("GOTOOLCHAIN", "auto")])
    };
    let project = || lab.project().unwrap().asking_for(&new).unwrap();
    run.plain("toolchain", &project(), PlainGo::Fails("unexpected EOF"));
    count_anew(&lab);
    let outcome = run.carried("toolchain", &project());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let versions = outcome
        .list("processes")
        .iter()
        .filter_map(|process| process["go_version"].as_str())
        .collect::<BTreeSet<_>>();
    let newer = format!("go{}", new.version);
    assert!(versions.contains(newer.as_str()), "{versions:?}");
    let ending = format!("go{}.linux-{}.zip", new.version, architecture());
    let zips = asked_for(&outcome, &ending).collect::<Vec<_>>();
    assert_eq!(zips.len(), 1, "{:#}", outcome.report["requests"]);
    assert_ne!(zips[0]["source"], "upstream", "{}", zips[0]);
    assert!(number(&zips[0]["resumed"]) >= 1, "{}", zips[0]);
}

/// As Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
