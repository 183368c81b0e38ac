// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checksum database, where one of the ways to it is shut.

use std::collections::BTreeSet;
use std::fs;

use gomod_lab::{Lab, Modules, PROXY, Project, SUMDB};
use libtest_mimic::Trial;

use super::{PlainGo, Run, fault, is_complete, near, succeeded, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a_dead_checksum_database_is_asked_through_the_module_proxy",
            dead,
        ),
        trial(
            "a_module_proxy_silent_about_checksums_is_passed_by",
            silent_proxy,
        ),
    ]
}

/// A tidy go.mod, whose hashes are all still to be found out.
fn project(lab: &Lab) -> Project<'_> {
    lab.project().unwrap().without_sums().unwrap()
}

fn dead() {
    let lab = near(5)
        .modules(Modules::many(4))
        .proxied_checksum_database()
        .fault(fault("syn-drop,host=sum.golang.org"))
        .start()
        .unwrap();
    // With a URL, `go` asks there and nowhere else.
    let database = format!("{} https://{SUMDB}", lab.checksum_database());
    let run = Run::of(&["go", "mod", "tidy"]).with(&[("GOSUMDB", &database)]);
    let outcome = learns("dead", &run, &lab);
    let asked = outcome.list("requests").iter();
    let lookups = asked
        .filter(|request| request["path"].as_str().unwrap().starts_with("/lookup/"))
        .map(|request| request["host"].as_str().unwrap())
        .collect::<BTreeSet<_>>();
    assert_eq!(lookups, BTreeSet::from([SUMDB]), "go asked the database");
    answered_for_checksums(&lab, PROXY);
}

fn silent_proxy() {
    let lab = near(5)
        .modules(Modules::many(4))
        .proxied_checksum_database()
        .fault(fault("silence,path=/sumdb/*"))
        .start()
        .unwrap();
    let run = Run::of(&["go", "mod", "tidy"]);
    learns("silent_proxy", &run, &lab);
    answered_for_checksums(&lab, SUMDB);
}

/// Plain `go` waits; carried, it finds all hashes.
fn learns(name: &str, run: &Run<'_>, lab: &Lab) -> crate::harness::Outcome {
    run.plain(name, &project(lab), PlainGo::Waits);
    let project = project(lab);
    let outcome = run.carried(name, &project);
    succeeded(&outcome);
    is_complete(&outcome, lab);
    let sums = fs::read_to_string(project.directory().join("go.sum")).unwrap();
    for module in lab.modules() {
        for line in module.go_sum() {
            assert!(sums.contains(line.trim()), "{line} is not in {sums}");
        }
    }
    outcome
}

/// Records of the database came from this host.
fn answered_for_checksums(lab: &Lab, host: &str) {
    assert!(
        lab.requests().iter().any(|request| {
            request.host == host && request.path.contains("/lookup/") && request.status == 200
        }),
        "{:#?}",
        lab.requests()
    );
}
