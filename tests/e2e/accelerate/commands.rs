// SPDX-License-Identifier: MIT OR Apache-2.0
//! The subcommands that download, each where every request is refused once.

use std::collections::BTreeSet;
use std::fs;

use gomod_lab::{Lab, Modules, PROXY, Project, SUMDB};
use libtest_mimic::Trial;

use super::{REFUSED_ONCE, Run, are_complete, fault, is_complete, near, trial};
use crate::harness::{Outcome, traced::number};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("go_build", build),
        trial("go_get", get),
        trial("go_mod_tidy_of_a_tidy_module", tidy),
        trial("go_mod_tidy_that_finds_out_all_versions", tidy_from_nothing),
        trial("go_mod_download_in_a_workspace", workspace),
        trial("other_commands", others),
    ]
}

fn lab() -> Lab {
    near(5)
        .modules(Modules::many(5))
        .fault(fault(REFUSED_ONCE))
        .start()
        .unwrap()
}

/// What was fetched ahead and never asked for; the run tells of it.
fn nothing_was_in_vain(outcome: &Outcome, lab: &Lab) {
    let asked = outcome
        .list("requests")
        .iter()
        .map(|request| request["path"].as_str().unwrap().replace("%21", "!"))
        .collect::<BTreeSet<_>>();
    for request in lab.requests() {
        assert!(asked.contains(&request.path), "in vain: {}", request.path);
    }
}

fn build() {
    let lab = lab();
    let run = Run::of(&["go", "build", "-o", "../program", "."]);
    let (outcome, project) = run.mended("build", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    assert!(project.root().join("program").is_file());
    nothing_was_in_vain(&outcome, &lab);
}

/// A go.mod that requires nothing, and an empty go.sum.
fn bare(lab: &Lab) -> Project<'_> {
    let project = lab.project().unwrap().without_sums().unwrap();
    let go_mod = "module example.com/project\n\ngo 1.21\n";
    fs::write(project.directory().join("go.mod"), go_mod).unwrap();
    project
}

fn get() {
    let lab = lab();
    let wanted = format!("{}@latest", lab.modules()[0].path);
    let run = Run::of(&["go", "get", &wanted]);
    let (outcome, project) = run.mended("get", &lab, || bare(&lab));
    let go_mod = fs::read_to_string(project.directory().join("go.mod")).unwrap();
    assert!(go_mod.contains(&lab.modules()[0].path), "{go_mod}");
    are_complete(&outcome, &lab.modules()[..1]);
    let hosts = outcome
        .list("requests")
        .iter()
        .map(|request| request["host"].as_str().unwrap())
        .collect::<BTreeSet<_>>();
    assert_eq!(hosts, BTreeSet::from([PROXY, SUMDB]));
}

fn tidy() {
    let lab = lab();
    let run = Run::of(&["go", "mod", "tidy"]);
    let (outcome, project) = run.mended("tidy", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    let untouched = lab.project().unwrap();
    for name in ["go.mod", "go.sum"] {
        // `go` sorts by its own rules.
        let lines = |project: &Project<'_>| {
            let text = fs::read_to_string(project.directory().join(name)).unwrap();
            text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(lines(&project), lines(&untouched), "{name} has changed");
    }
    nothing_was_in_vain(&outcome, &lab);
}

fn tidy_from_nothing() {
    let lab = lab();
    let run = Run::of(&["go", "mod", "tidy"]);
    let (outcome, project) = run.mended("tidy_from_nothing", &lab, || bare(&lab));
    is_complete(&outcome, &lab);
    let go_mod = fs::read_to_string(project.directory().join("go.mod")).unwrap();
    for module in lab.modules() {
        let line = format!("{} {}", module.path, module.version);
        assert!(go_mod.contains(&line), "{line} is not in {go_mod}");
    }
    // `go` asks for every prefix of an import path: what isn't there is said as it was.
    let statuses = outcome
        .list("requests")
        .iter()
        .map(|request| number(&request["status"]))
        .collect::<BTreeSet<_>>();
    assert_eq!(statuses, BTreeSet::from([200, 404]));
}

/// Each on its own, with an empty module cache.
fn others() {
    for words in [
        &["go", "mod", "download", "all"][..],
        &["go", "mod", "graph"],
        &["go", "mod", "vendor"],
        &["go", "mod", "verify"],
        &["go", "mod", "why", "-m", "all"],
        &["go", "list", "-m", "all"],
        &["go", "list", "-deps", "./..."],
        &["go", "get", "-u", "./..."],
    ] {
        let lab = lab();
        let name = words.join("_").replace(['/', '.'], "");
        Run::of(words).mended(&name, &lab, || lab.project().unwrap());
    }
}

/// Two modules that go.work puts together, each with a part of the requirements.
fn workspace() {
    let lab = lab();
    let project = || {
        let project = lab.project().unwrap();
        let tools = project.directory().join("tools");
        fs::create_dir(&tools).unwrap();
        let (here, there) = lab.modules().split_at(2);
        for (directory, name, modules) in [
            (project.directory(), "example.com/project", here),
            (tools, "example.com/project/tools", there),
        ] {
            let requires = modules
                .iter()
                .map(|module| format!("require {} {}\n", module.path, module.version));
            let go_mod = format!(
                "module {name}\n\ngo 1.21\n\n{}",
                requires.collect::<String>()
            );
            fs::write(directory.join("go.mod"), go_mod).unwrap();
            let sums = lab.modules().iter().flat_map(gomod_lab::Module::go_sum);
            fs::write(directory.join("go.sum"), sums.collect::<String>()).unwrap();
        }
        let work = "go 1.21\n\nuse (\n\t.\n\t./tools\n)\n";
        fs::write(project.directory().join("go.work"), work).unwrap();
        project
    };
    let (outcome, _project) = Run::default().mended("workspace", &lab, project);
    is_complete(&outcome, &lab);
    let ahead = outcome
        .list("requests")
        .iter()
        .filter(|request| request["source"] != "upstream");
    assert!(ahead.count() > 0, "nothing was fetched ahead");
}
