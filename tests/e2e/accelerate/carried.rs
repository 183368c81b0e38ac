// SPDX-License-Identifier: MIT OR Apache-2.0
//! Downloads without fault.

use std::collections::BTreeSet;
use std::fs;

use gomod_lab::{Families, Modules, PROXY};
use libtest_mimic::Trial;

use super::{
    PlainGo, REFUSED_ONCE, Run, asked_for, fault, is_complete, near, succeeded, trial, ways,
};
use crate::harness::traced::number;
use crate::harness::{DOWNLOAD, Scratch, Traced, footprint, newest_go, product};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_download_is_carried_and_complete", carried),
        trial("zips_at_another_host_are_fetched_from_there", redirected),
        trial("over_ipv4_alone", || one_family(Families::V4)),
        trial("over_ipv6_alone", || one_family(Families::V6)),
        trial("certificates_of_the_users_own_choice", own_certificates),
        trial("without_a_module_host_it_is_only_observed", no_host),
        trial("without_prefetch_everything_is_asked_for", no_prefetch),
        trial("what_is_fetched_ahead_in_vain_is_told", in_vain),
    ]
}

fn carried() {
    let lab = near(50).start().unwrap();
    let project = lab.project().unwrap();
    let mounts = footprint::mounts();
    let outcome = Run::default().carried("carried", &project);
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
    for request in requests {
        assert!(!request["done_ms"].is_null(), "not completed: {request}");
    }
    let ahead = requests
        .iter()
        .filter(|request| request["source"] == "prefetch" || request["source"] == "joined");
    assert!(
        2 * ahead.count() > requests.len(),
        "most was to be fetched ahead"
    );
    let prefetch = &outcome.report["prefetch"];
    assert!(
        2 * number(&prefetch["used"]) > requests.len() as u64,
        "{prefetch}"
    );
    assert_eq!(number(&prefetch["unused"]), 0, "{prefetch}");
    assert!(
        outcome.stderr.contains("hit rate"),
        "the summary does not tell: {}",
        outcome.stderr
    );
    // Each file went over the network once.
    let upstream = lab.requests();
    let paths = upstream.iter().map(|request| &request.path);
    assert_eq!(paths.clone().collect::<BTreeSet<_>>().len(), paths.count());
    assert!(upstream.iter().all(|request| !request.http2));
}

fn one_family(families: Families) {
    let lab = near(5).modules(Modules::many(3)).families(families);
    let lab = lab.start().unwrap();
    let outcome = Run::default().carried("one_family", &lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    for connection in outcome.list("connections") {
        assert_eq!(connection["path"], "accelerated", "{connection}");
    }
}

/// `go` is sent from host to host by us, and sees one.
fn redirected() {
    let lab = near(5).modules(Modules::many(4)).zips_elsewhere();
    let lab = lab.fault(fault(REFUSED_ONCE)).start().unwrap();
    let run = Run::default();
    let (outcome, _project) = run.mended("redirected", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    assert_eq!(ways(&outcome).keys().collect::<Vec<_>>(), [&PROXY]);
    let zips = asked_for(&outcome, ".zip").collect::<Vec<_>>();
    assert_eq!(zips.len(), lab.modules().len());
    assert!(zips.iter().all(|zip| zip["source"] != "upstream"));
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name what `go` trusts: then that is what it and we trust.
fn own_certificates() {
    let lab = near(5).modules(Modules::many(2)).start().unwrap();
    for variables in [
        &["SSL_CERT_FILE"][..],
        &["SSL_CERT_DIR"],
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
    ] {
        let project = lab.project().unwrap();
        let directory = project.root().join("certificates");
        let file = directory.join("authority.pem");
        fs::create_dir(&directory).unwrap();
        fs::write(&file, lab.authority()).unwrap();
        let environment = variables
            .iter()
            .map(|name| match *name {
                "SSL_CERT_FILE" => (*name, file.to_str().unwrap()),
                name => (name, directory.to_str().unwrap()),
            })
            .collect::<Vec<_>>();
        let run = Run::default().with(&environment);
        let outcome = run.carried("own_certificates", &project);
        succeeded(&outcome);
        is_complete(&outcome, &lab);
        for connection in outcome.list("connections") {
            assert_eq!(
                connection["path"], "accelerated",
                "{variables:?} {connection}"
            );
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), lab.authority());
    }
}

fn no_host() {
    let lab = near(0).start().unwrap();
    let project = lab.project().unwrap();
    let environment = [("GOPROXY", "off"), ("GOSUMDB", "off")];
    let outcome = Run::default()
        .with(&environment)
        .carried("no_host", &project);
    // Its names are answered all the same.
    assert_eq!(outcome.report["mode"], "accelerate");
    assert_eq!(outcome.list("requests").len(), 0);
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
    let outcome = Traced::carried_in(scratch, command, &options, DOWNLOAD).finish();
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    for request in outcome.list("requests") {
        assert_eq!(request["source"], "upstream", "{request}");
    }
    assert_eq!(number(&outcome.report["prefetch"]["files"]), 0);
}

/// A `go` that is ended before it has asked for all that was foreseen.
fn in_vain() {
    let lab = near(5)
        .fault(fault("silence,path=*/m001/*.info"))
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    // Plain `go` waits for one `.info` for ever, and has asked for no zip by then.
    Run::default().plain("in_vain", &project, PlainGo::Waits);
    assert!(
        lab.requests()
            .iter()
            .all(|request| !request.path.contains(".zip"))
    );
    project.clear_module_cache().unwrap();
    let outcome = Run::of(&["timeout", "3", "go", "mod", "download"]).carried("in_vain", &project);
    let prefetch = &outcome.report["prefetch"];
    let modules = lab.modules().len() as u64;
    // All zips at least, and perhaps `.info` files.
    assert!(number(&prefetch["unused"]) >= modules, "{prefetch}");
    let zips = lab.modules().iter().map(gomod_lab::Module::zip_bytes);
    assert!(
        number(&prefetch["unused_bytes"]) >= zips.sum::<u64>(),
        "{prefetch}"
    );
    assert!(
        outcome.stderr.contains("fetched ahead in vain"),
        "{}",
        outcome.stderr
    );
}
