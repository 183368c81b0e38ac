// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every release of Go is carried.

use std::collections::BTreeSet;

use gomod_lab::{Modules, PROXY, toolchain};
use libtest_mimic::Trial;

use super::{REFUSED_ONCE, Run, fault, is_complete, near, ways};
use crate::harness::{Need, trial};

const RELEASES: [&str; 7] = ["1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27"];

pub(super) fn trials() -> Vec<Trial> {
    RELEASES
        .into_iter()
        .map(|release| {
            trial(
                format!("accelerate::releases::go_{release}"),
                [Need::Tracing, Need::Lab, Need::Go(release)],
                move || download(release),
            )
        })
        .collect()
}

fn download(release: &str) {
    let lab = near(5).modules(Modules::many(6)).fault(fault(REFUSED_ONCE));
    let lab = lab.start().unwrap();
    let run = Run {
        toolchain: toolchain::find(release).unwrap(),
        ..Run::default()
    };
    let name = format!("releases::{release}");
    let (outcome, _project) = run.mended(&name, &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    let accelerated = BTreeSet::from([("accelerated", Some("module host"))]);
    assert_eq!(ways(&outcome)[PROXY], accelerated);
    let ahead = outcome
        .list("requests")
        .iter()
        .filter(|request| request["source"] != "upstream");
    assert!(ahead.count() > 0, "nothing was fetched ahead");
}
