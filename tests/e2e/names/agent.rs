// SPDX-License-Identifier: MIT OR Apache-2.0
//! An agent that dies, or hangs, while names are asked for: the nameservers are asked themselves.

use std::{fs, thread, time::Duration};

use gomod_lab::{Lab, PROXY};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{after, latency, questions_at, rows, start};
use crate::harness::{eventually, footprint::Footprint, needs::DOWNLOADS, trial};

pub(super) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("names::{name}"), DOWNLOADS.iter().copied(), test);
    vec![
        trial("an_agent_killed_in_mid_query_is_passed_by", || {
            // glibc repeats its question on the same socket, which is connected to the dead stub: the lookup that was under
            // way may fail. The next one does not.
            killed("getent ahosts proxy.golang.org || getent ahosts proxy.golang.org");
        }),
        trial("an_agent_killed_in_mid_query_of_go_is_passed_by", || {
            killed("go mod download");
        }),
        trial("a_stopped_agent_answers_no_names", stopped),
    ]
}

fn killed(command: &str) {
    let lab = Lab::builder()
        .fault("dns-drop".parse::<gomod_lab::Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let done = project.root().join("done");
    // `go` was told to trust one authority more, which it does no harm to know.
    let script = format!(
        "{{ {command}; }} > {0}.new 2>&1; mv {0}.new {0}",
        done.display()
    );
    let mut traced = start("killed", &project, &[], &["sh", "-c", &script]);
    // The question is at the nameserver, so the stub waits for its answer, and the client for the stub.
    traced.event("the name was asked for", |event| {
        event["kind"] == "dns" && event["name"] == PROXY
    });
    let agent = Footprint::of(traced.pid());
    traced.signal(Signal::SIGKILL);
    traced.wait();
    let before = questions_at(&lab, 1, PROXY);
    lab.clear_faults().unwrap();
    agent.vanishes_from_the_kernel();
    let said = eventually("the command ends", String::new, || {
        fs::read_to_string(&done).ok()
    });
    assert!(
        questions_at(&lab, 1, PROXY) > before,
        "the nameserver was asked itself"
    );
    if command.starts_with("getent") {
        let host = lab.host(PROXY).unwrap();
        assert!(said.contains(&host.v4.to_string()), "{said}");
    } else {
        assert!(!said.contains("lookup"), "{said}");
        assert!(
            project.module_cache().join("cache/download").is_dir(),
            "{said}"
        );
    }
}

fn stopped() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let (marker, done) = (project.root().join("go-on"), project.root().join("done"));
    let lookup = format!(
        "getent ahosts proxy.golang.org > {0}.new; mv {0}.new {0}",
        done.display()
    );
    let script = format!(
        "getent ahosts proxy.golang.org; {}",
        after(&marker, &lookup)
    );
    let mut traced = start("stopped", &project, &[], &["sh", "-c", &script]);
    traced.event("names are answered", |event| {
        event["kind"] == "dns" && event["state"] == "answered"
    });
    traced.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(3));
    let before = questions_at(&lab, 1, PROXY);
    fs::write(&marker, "").unwrap();
    let said = eventually("the lookup ends", String::new, || {
        fs::read_to_string(&done).ok()
    });
    traced.signal(Signal::SIGCONT);
    let outcome = traced.finish();
    let host = lab.host(PROXY).unwrap();
    assert!(said.contains(&host.v4.to_string()), "{said}");
    assert!(
        questions_at(&lab, 1, PROXY) >= before + 2,
        "the nameserver was asked itself, although the answer was known"
    );
    for row in rows(&outcome, PROXY) {
        assert!(latency(row).is_some(), "{row}");
    }
}
