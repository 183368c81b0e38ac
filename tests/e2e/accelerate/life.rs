// SPDX-License-Identifier: MIT OR Apache-2.0
//! Agents that die or stop, and agents beside one another.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::Duration;

use gomod_lab::{Lab, Modules, PROXY, Project};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{
    PlainGo, REFUSED_ONCE, Run, count_anew, fault, is_complete, near, succeeded, trial, ways,
};
use crate::harness::{eventually, footprint, process::lives};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_killed_agent_leaves_nothing_and_go_ends", killed),
        trial("a_stopped_agent_is_passed_by", stopped),
        trial("an_interrupt_ends_go_and_agent", interrupted),
        trial("two_runs_at_once_do_not_know_of_each_other", two),
        trial("two_runs_at_once_share_a_module_cache", two_with_one_cache),
    ]
}

/// In the middle of a body that never ends.
fn interrupted() {
    let lab = near(5).modules(Modules::many(3));
    let lab = lab.fault(fault("body-stop=50%")).start().unwrap();
    let project = lab.project().unwrap();
    let mut traced = Run::default().start("interrupted", &project);
    let go = traced.go();
    let agent = footprint::Footprint::of(traced.pid());
    eventually("a zip has begun", String::new, || {
        let requests = lab.requests();
        requests
            .iter()
            .any(|request| request.path.contains(".zip"))
            .then_some(())
    });
    traced.signal(Signal::SIGINT);
    let outcome = traced.finish();
    assert_eq!(
        outcome.status.signal(),
        Some(Signal::SIGINT as i32),
        "{}",
        outcome.stderr
    );
    assert!(!lives(go));
    agent.vanishes();
}

/// The second `go` waits for the first one's locks, and then has all it wants.
fn two_with_one_cache() {
    let lab = near(20).fault(fault(REFUSED_ONCE)).start().unwrap();
    let project = lab.project().unwrap();
    let run = Run::default();
    let runs = [
        run.start("two_with_one_cache_1", &project),
        run.start("two_with_one_cache_2", &project),
    ];
    for traced in runs {
        succeeded(&traced.finish());
    }
    all_zips_arrive(&lab, &project);
}

fn two() {
    let name = "two";
    let lab = near(20)
        .modules(Modules::many(8))
        .fault(fault(REFUSED_ONCE))
        .start()
        .unwrap();
    let run = Run::default();
    let plain = PlainGo::Fails("503 Service Unavailable");
    run.plain(name, &lab.project().unwrap(), plain);
    count_anew(&lab);
    let projects = [lab.project().unwrap(), lab.project().unwrap()];
    let runs = projects.each_ref().map(|project| run.start(name, project));
    for traced in runs {
        let outcome = traced.finish();
        succeeded(&outcome);
        is_complete(&outcome, &lab);
        let accelerated = BTreeSet::from([("accelerated", Some("module host"))]);
        assert_eq!(ways(&outcome)[PROXY], accelerated);
    }
}

fn killed() {
    let lab = near(200).start().unwrap();
    let project = lab.project().unwrap();
    let words = ["sh", "-c", "go mod download; go mod download; sleep 1"];
    let mut traced = Run::of(&words).start("killed", &project);
    let go = traced.go();
    let agent = footprint::Footprint::of(traced.pid());
    traced.event("a request was carried", |event| {
        event["kind"] == "connection"
    });
    traced.signal(Signal::SIGKILL);
    traced.wait();
    agent.vanishes_from_the_kernel();
    eventually("go ends without the agent", String::new, || {
        (!lives(go)).then_some(())
    });
    // The second `go` of the command goes direct, in a mount namespace that still trusts what the machine trusts.
    all_zips_arrive(&lab, &project);
}

/// Waits until the module cache holds the zip of each module.
fn all_zips_arrive(lab: &Lab, project: &Project<'_>) {
    let cache = project.module_cache().join("cache/download");
    eventually("all zips are in the cache", String::new, || {
        lab.modules()
            .iter()
            .all(|module| {
                cache
                    .join(module.escaped_path())
                    .join(format!("@v/{}.zip", module.version))
                    .is_file()
            })
            .then_some(())
    });
}

/// A stopped agent does not beat: what connects 2 s later goes direct.
fn stopped() {
    let lab = near(20).start().unwrap();
    let project = lab.project().unwrap();
    // The child says that it is there, then waits until the agent has been stopped for long enough.
    let marker = project.root().join("go-on");
    let wait = format!(
        "while ! test -e {}; do sleep 0.1; done; exec go mod download",
        marker.display()
    );
    let mut traced = Run::of(&["sh", "-c", &wait]).start("stopped", &project);
    traced.event("the command runs", |event| event["kind"] == "process");
    traced.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    std::fs::write(&marker, "").unwrap();
    all_zips_arrive(&lab, &project);
    assert!(
        lab.requests().iter().any(|request| request.http2),
        "go spoke to the host itself"
    );
    traced.signal(Signal::SIGCONT);
    let outcome = traced.finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.list("requests").len(), 0);
}
