// SPDX-License-Identifier: MIT OR Apache-2.0
//! `run --accelerate`: the module traffic of the real `go`, carried by us.

use std::{collections::BTreeSet, thread, time::Duration};

use gomod_lab::{Lab, LabBuilder, PROXY, Project};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::harness::{
    DOWNLOAD, Outcome, Running, Scratch, Traced, eventually, footprint, needs::DOWNLOADS,
    newest_go, process::lives, product, trial,
};

/// How long plain `go` is watched where it hangs.
const WATCHED: Duration = Duration::from_secs(8);

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| {
        trial(
            format!("accelerate::{name}"),
            DOWNLOADS.iter().copied(),
            test,
        )
    };
    vec![
        trial("a_download_is_carried_and_complete", carried),
        trial("large_hellos_that_vanish_do_not_matter", || {
            mends("large-hello-drop");
        }),
        trial("hellos_that_offer_h2_do_not_matter", || {
            mends("h2-hello-silence");
        }),
        trial("a_host_without_ipv6_in_fact_does_not_matter", || {
            mends("syn-drop,family=v6");
        }),
        trial("an_upstream_failure_is_go_s_own_error", honest),
        trial("without_a_module_host_it_is_only_observed", no_host),
        trial("without_prefetch_everything_is_asked_for", no_prefetch),
        trial("a_killed_agent_leaves_nothing_and_go_ends", killed),
        trial("a_stopped_agent_is_passed_by", stopped),
    ]
}

fn download(name: &str, project: &Project<'_>, environment: &[(&str, &str)]) -> Outcome {
    start(name, project, environment, &DOWNLOAD).finish()
}

fn start(
    name: &str,
    project: &Project<'_>,
    environment: &[(&str, &str)],
    words: &[&str],
) -> Traced {
    let mut command = project.command(&newest_go(), product::path());
    command.envs(environment.iter().copied());
    Traced::accelerated(&format!("accelerate::{name}"), command, words)
}

fn near(rtt_ms: u64) -> LabBuilder {
    Lab::builder().rtt(Duration::from_millis(rtt_ms))
}

fn succeeded(outcome: &Outcome) {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.report["mode"], "accelerate");
}

/// All module versions of the lab's project are complete.
fn is_complete(outcome: &Outcome, lab: &Lab) {
    let told = outcome
        .list("modules")
        .iter()
        .filter(|module| !module["done_ms"].is_null())
        .map(|module| module["path"].as_str().unwrap())
        .collect::<BTreeSet<_>>();
    for module in lab.modules() {
        assert!(told.contains(module.path.as_str()), "{}", module.path);
    }
}

fn carried() {
    let lab = near(50).start().unwrap();
    let project = lab.project().unwrap();
    let mounts = footprint::mounts();
    let outcome = download("carried", &project, &[]);
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    assert_eq!(outcome.verdicts(), BTreeSet::new(), "{}", outcome.stderr);
    assert_eq!(
        footprint::mounts(),
        mounts,
        "the machine's mount table has changed"
    );
    for connection in outcome.list("connections") {
        assert_eq!(connection["path"], "accelerated", "{connection}");
        assert_eq!(connection["why"], "module host");
        assert_eq!(connection["host"], PROXY);
        let remote = connection["remote"].as_str().unwrap();
        assert!(
            !remote.contains("127.0.0.1") && !remote.contains("[::1]"),
            "{remote}"
        );
    }
    let requests = outcome.list("requests");
    assert_eq!(requests.len(), 3 * lab.modules().len());
    let ahead = requests
        .iter()
        .filter(|request| request["source"] == "prefetch" || request["source"] == "joined");
    assert!(
        2 * ahead.count() > requests.len(),
        "most was to be fetched ahead"
    );
    // Each file went over the network once.
    let upstream = lab.requests();
    let paths = upstream.iter().map(|request| &request.path);
    assert_eq!(paths.clone().collect::<BTreeSet<_>>().len(), paths.count());
    assert!(upstream.iter().all(|request| !request.http2));
}

/// Plain `go` does not get through; carried by us, it does.
fn mends(fault: &'static str) {
    let lab = near(20)
        .fault(fault.parse::<gomod_lab::Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let scratch = Scratch::new(&format!("accelerate::plain_{fault}"));
    let mut plain = Running::start(project.go(&newest_go(), DOWNLOAD_WORDS), &scratch, "plain");
    if fault.contains("family") {
        // Happy eyeballs save plain `go` here, too: the point is that ours do not make it worse.
        assert!(plain.wait().success(), "{}", plain.stderr());
    } else {
        thread::sleep(WATCHED);
        assert!(
            plain.ended().is_none(),
            "plain go ended: {}",
            plain.stderr()
        );
        plain.signal(Signal::SIGKILL);
        plain.wait();
    }
    let project = lab.project().unwrap();
    let outcome = download(fault, &project, &[]);
    succeeded(&outcome);
    is_complete(&outcome, &lab);
}

/// The words after `go`.
const DOWNLOAD_WORDS: [&str; 2] = ["mod", "download"];

fn honest() {
    let fault = "connect-refused".parse::<gomod_lab::Fault>().unwrap();
    let lab = near(0).fault(fault).start().unwrap();
    let project = lab.project().unwrap();
    let outcome = download("honest", &project, &[]);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("502 Bad Gateway") || outcome.stderr.contains("504"),
        "{}",
        outcome.stderr
    );
    let failed = outcome
        .list("requests")
        .iter()
        .filter_map(|request| request["status"].as_u64())
        .collect::<BTreeSet<_>>();
    assert!(failed.iter().all(|status| *status >= 502), "{failed:?}");
}

fn no_host() {
    let lab = near(0).start().unwrap();
    let project = lab.project().unwrap();
    let environment = [("GOPROXY", "off"), ("GOSUMDB", "off")];
    let outcome = download("no_host", &project, &environment);
    assert_eq!(outcome.report["mode"], "observe");
    assert!(
        outcome
            .stderr
            .contains("only observed: GOPROXY and GOSUMDB name no host"),
        "{}",
        outcome.stderr
    );
}

fn no_prefetch() {
    let lab = near(0).start().unwrap();
    let project = lab.project().unwrap();
    let command = project.command(&newest_go(), product::path());
    let scratch = Scratch::new("accelerate::no_prefetch");
    let options = ["--no-prefetch"];
    let outcome = Traced::start_as("--accelerate", scratch, command, &options, DOWNLOAD).finish();
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    for request in outcome.list("requests") {
        assert_eq!(request["source"], "upstream", "{request}");
    }
}

fn killed() {
    let lab = near(200).start().unwrap();
    let project = lab.project().unwrap();
    let words = ["sh", "-c", "go mod download; go mod download; sleep 1"];
    let mut traced = start("killed", &project, &[], &words);
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
    let mut traced = start("stopped", &project, &[], &["sh", "-c", &wait]);
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
