// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module as large as `go` takes them, and how much memory carrying it takes.

use std::fs;
use std::thread;
use std::time::Duration;

use gomod_lab::Modules;
use libtest_mimic::Trial;

use super::{Run, asked_for, fault, is_complete, near, succeeded, trial};
use crate::harness::traced::number;

/// `go` refuses zips of more than 500 MiB, and the zip has headers too.
const BYTES: u32 = 523_000_000;
/// What the agent may hold at any time, KiB.
const MOST_MEMORY: u64 = 100 * 1024;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("a_module_of_500_mib_in_little_memory", little_memory)]
}

fn little_memory() {
    let lab = near(0)
        .modules(Modules::many(1))
        .large_module(BYTES)
        .fault(fault("body-cut=30%,path=*/large/*,times=1"))
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let mut traced = Run::default().start("large", &project);
    let mut most = 0;
    while traced.ended().is_none() {
        most = peak(traced.pid()).unwrap_or(most);
        thread::sleep(Duration::from_millis(50));
    }
    let outcome = traced.finish();
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let zip = asked_for(&outcome, "/large/@v/v1.0.0.zip").next().unwrap();
    assert!(number(&zip["bytes"]) > u64::from(BYTES), "{zip}");
    assert!(number(&zip["resumed"]) >= 1, "{zip}");
    assert!(most > 0, "the agent's memory was never seen");
    assert!(most <= MOST_MEMORY, "the agent held {most} KiB");
}

/// The most memory that a process has held so far, KiB (`VmHWM` of proc(5)).
fn peak(pid: u32) -> Option<u64> {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}
