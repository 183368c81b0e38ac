// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--mirror`: other module proxies, for public modules whose hash is known, when the first can't be reached.

use std::fs;
use std::path::Path;

use gomod_lab::{CONTROL, Lab, Modules, PROXY, Project};
use libtest_mimic::Trial;

use super::{PlainGo, Run, fault, is_complete, near, succeeded, trial};

/// What the proxy's name meets on the way.
const FILTERED: &str = "sni-reset";
/// Keeps the files of the module proxy, as a module proxy.
const MIRROR: &str = "--mirror=https://www.example.com/stored/proxy.golang.org";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_filter_by_name_is_passed_by_a_mirror", filtered),
        trial("a_mirror_that_lies_is_not_believed", liar),
        trial("a_mirror_is_asked_for_no_private_module", private),
    ]
}

fn lab(faults: &[&str]) -> Lab {
    let lab = near(10).modules(Modules::many(6));
    let lab = faults.iter().fold(lab, |lab, text| lab.fault(fault(text)));
    lab.start().unwrap()
}

/// Plain `go` fails; we are allowed to ask a mirror.
fn run(name: &str, lab: &Lab) -> Run<'static> {
    let run = Run {
        options: vec![MIRROR],
        ..Run::default()
    };
    let plain = PlainGo::Fails("connection reset by peer");
    run.plain(name, &lab.project().unwrap(), plain);
    run
}

fn filtered() {
    let lab = lab(&[FILTERED]);
    let run = run("filtered", &lab);
    let outcome = run.carried("filtered", &lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    for request in outcome.list("requests") {
        assert_eq!(request["host"], PROXY, "go knows nothing of it: {request}");
        assert_eq!(request["status"], 200, "{request}");
        assert!(!request["done_ms"].is_null(), "not whole: {request}");
    }
    let asked = lab.requests();
    assert!(asked.len() >= 3 * lab.modules().len(), "{asked:#?}");
    for request in asked {
        assert_eq!(request.host, CONTROL, "{request:?}");
        assert_eq!(request.authorization, None, "{request:?}");
    }
}

/// Every file has one wrong bit.
fn liar() {
    let lab = lab(&[FILTERED, "body-corrupt,host=www.example.com,path=*"]);
    let run = run("liar", &lab);
    let project = lab.project().unwrap();
    let outcome = run.carried("liar", &project);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(
        lab.requests().iter().any(|request| request.host == CONTROL),
        "it was not asked"
    );
    for request in outcome.list("requests") {
        assert_ne!(request["status"], 200, "{request}");
    }
    assert!(
        outcome.stderr.contains("502 Bad Gateway"),
        "{}",
        outcome.stderr
    );
    let store = project.home().join(".cache/gomod-trace/download");
    assert_eq!(files(&store), 0, "something of it was kept");
    assert_eq!(files(&downloads(&project)), 0, "go got something of it");
}

fn downloads(project: &Project<'_>) -> std::path::PathBuf {
    project
        .module_cache()
        .join("cache/download/code.example.org")
}

/// Module files below a directory: `go` leaves locks there, which are none.
fn files(directory: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += files(&path);
        } else if path
            .extension()
            .is_some_and(|is| is == "zip" || is == "mod" || is == "info")
        {
            count += 1;
        }
    }
    count
}

/// Each setting that keeps a name inside keeps it from mirrors as well, though the proxy would be asked for it.
fn private() {
    let lab = lab(&[FILTERED]);
    let module = lab.modules()[0].clone();
    let path = module.path.as_str();
    let settings: [&[(&str, &str)]; 2] = [
        &[("GONOSUMDB", path)],
        &[("GOPRIVATE", path), ("GONOPROXY", "none")],
    ];
    let allowed = run("private", &lab);
    for environment in settings {
        let since = lab.requests().len();
        let run = allowed.clone().with(environment);
        let outcome = run.carried("private", &lab.project().unwrap());
        assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
        let asked = lab.requests().split_off(since);
        assert!(
            asked.iter().any(|request| request.host == CONTROL),
            "the others may be asked for there: {}",
            outcome.stderr
        );
        let escaped = module.escaped_path();
        for request in asked {
            assert!(
                !request.path.contains(&escaped),
                "{environment:?} {request:?}"
            );
        }
    }
}
