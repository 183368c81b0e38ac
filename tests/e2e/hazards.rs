// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hazard.cache.shared`: caches of the real `go` that are, or lie in, one directory, in each way that this comes about.
//! First, what `go clean -modcache` does there without us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gomod_lab::{Lab, Project};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{
    DOWNLOAD, Outcome, Scratch, Traced, needs::DOWNLOADS, newest_go, product, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("hazards::{name}"), DOWNLOADS.iter().copied(), test);
    vec![
        trial("none_for_ordinary_caches", ordinary),
        trial("the_same_directory", same),
        trial("one_in_the_other", nested),
        trial("by_a_symbolic_link", link),
        trial("by_a_bind_mount_of_the_command", bind_mount),
        trial("carried_as_observed", carried),
        trial("two_commands_of_one_run", two_commands),
        trial("a_build_cache_that_only_the_disk_knows", on_disk),
        trial("by_the_file_of_go_env", env_file),
        trial("by_what_go_opens_alone", opened),
    ]
}

/// What a build cache has in it.
const ENTRY: &str = "00/built-a";

/// The caches of a project, set anew.
struct Caches {
    build: PathBuf,
    modules: PathBuf,
}

impl Caches {
    fn set(&self, command: &mut Command) {
        command
            .env("GOCACHE", &self.build)
            .env("GOMODCACHE", &self.modules);
    }

    /// What is left in the build cache once the real `go clean -modcache` was there.
    fn build_cache_survives_clean(&self, project: &Project<'_>) -> bool {
        let entry = self.build.join(ENTRY);
        fs::create_dir_all(entry.parent().unwrap()).unwrap();
        fs::create_dir_all(&self.modules).unwrap();
        fs::write(&entry, "built").unwrap();
        let mut clean = project.go(&newest_go(), ["clean", "-modcache"]);
        self.set(&mut clean);
        let output = clean.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        entry.exists()
    }

    fn observed(&self, name: &str, project: &Project<'_>) -> Outcome {
        let mut command = project.command(&newest_go(), product::path());
        self.set(&mut command);
        Traced::start(&format!("hazards::{name}"), command, DOWNLOAD).finish()
    }
}

fn lab() -> Lab {
    Lab::builder().start().unwrap()
}

/// The only hazard of a run, told in each of the ways.
#[track_caller]
fn only(outcome: &Outcome) -> &Value {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let [hazard] = outcome.list("hazards") else {
        panic!(
            "not one hazard: {:#}\n{}",
            outcome.report["hazards"], outcome.stderr
        );
    };
    assert_eq!(hazard["verdict"], "hazard.cache.shared");
    let told: Vec<_> = outcome
        .events
        .iter()
        .filter(|event| event["kind"] == "hazard")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["evidence"], hazard["evidence"]);
    // Once while it happens, once in the summary.
    let shown = outcome.stderr.matches("hazard.cache.shared").count();
    assert_eq!(shown, 2, "{}", outcome.stderr);
    assert!(outcome.list("stalls").is_empty(), "a hazard is no stall");
    hazard
}

#[track_caller]
fn is(hazard: &Value, relation: &str, deletes: &str) {
    let evidence = &hazard["evidence"];
    assert_eq!(evidence["relation"], relation, "{hazard:#}");
    assert_eq!(evidence["clean_modcache_deletes"], deletes, "{hazard:#}");
}

fn ordinary() {
    let lab = lab();
    let project = lab.project().unwrap();
    let caches = Caches {
        build: project.build_cache(),
        modules: project.module_cache(),
    };
    assert!(caches.build_cache_survives_clean(&project));
    let outcome = caches.observed("ordinary", &project);
    assert!(outcome.status.success());
    assert_eq!(outcome.list("hazards"), &[] as &[Value]);
    assert!(!outcome.stderr.contains("hazard"), "{}", outcome.stderr);
    assert_eq!(outcome.list("modules").len(), lab.modules().len());
}

fn same() {
    let lab = lab();
    let project = lab.project().unwrap();
    let caches = Caches {
        build: project.module_cache(),
        modules: project.module_cache(),
    };
    assert!(!caches.build_cache_survives_clean(&project));
    let outcome = caches.observed("same", &project);
    let hazard = only(&outcome);
    is(hazard, "same", "both");
    assert_eq!(hazard["confidence"], "confirmed");
    // The download itself is not harmed.
    assert_eq!(outcome.list("modules").len(), lab.modules().len());
}

fn nested() {
    let lab = lab();
    let project = lab.project().unwrap();
    let inside = Caches {
        build: project.module_cache().join("build"),
        modules: project.module_cache(),
    };
    assert!(!inside.build_cache_survives_clean(&project));
    is(
        only(&inside.observed("nested", &project)),
        "build_in_modules",
        "both",
    );

    let around = Caches {
        build: project.build_cache(),
        modules: project.build_cache().join("modules"),
    };
    assert!(around.build_cache_survives_clean(&project));
    is(
        only(&around.observed("around", &project)),
        "modules_in_build",
        "modules",
    );
}

fn link() {
    let lab = lab();
    let project = lab.project().unwrap();
    let link = project.root().join("link");
    std::os::unix::fs::symlink(project.module_cache(), &link).unwrap();
    let build = Caches {
        build: link.join("build"),
        modules: project.module_cache(),
    };
    assert!(!build.build_cache_survives_clean(&project));
    let outcome = build.observed("link_to_modules", &project);
    let hazard = only(&outcome);
    is(hazard, "build_in_modules", "both");
    let resolved = project.module_cache().join("build");
    assert_eq!(
        hazard["evidence"]["build_cache_path"],
        resolved.to_str().unwrap()
    );

    // `go` removes the link, and nothing behind it. It must have something to do meanwhile, or it may end before it is
    // looked at.
    project.clear_module_cache().unwrap();
    let modules = Caches {
        build: project.module_cache(),
        modules: link.clone(),
    };
    let outcome = modules.observed("link_to_build", &project);
    is(only(&outcome), "same", "link");
    assert!(modules.build_cache_survives_clean(&project));
    assert!(!link.exists());
}

/// In a mount namespace of the command's own: what counts is what `go` sees.
fn bind_mount() {
    let lab = lab();
    let project = lab.project().unwrap();
    let elsewhere = project.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let caches = Caches {
        build: project.build_cache(),
        modules: elsewhere.clone(),
    };
    let mounted = |words: &str| {
        format!(
            "mount --bind {} {} && {words}",
            project.build_cache().display(),
            elsewhere.display()
        )
    };
    let entry = project.build_cache().join(ENTRY);
    fs::create_dir_all(entry.parent().unwrap()).unwrap();
    fs::write(&entry, "built").unwrap();
    let mut clean = project.command(&newest_go(), "unshare");
    caches.set(&mut clean);
    clean.args(["--mount", "sh", "-c", &mounted("go clean -modcache")]);
    let output = clean.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("busy"),
        "the mount point itself stays: {stderr}"
    );
    assert!(!entry.exists(), "deleted nevertheless");

    let mut command = project.command(&newest_go(), product::path());
    caches.set(&mut command);
    let words = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        &mounted("go mod download"),
    ];
    let outcome = Traced::start("hazards::bind_mount", command, words).finish();
    is(only(&outcome), "same", "both");
    // Without the mount, the same settings are no hazard.
    let outcome = caches.observed("no_bind_mount", &project);
    assert_eq!(outcome.list("hazards"), &[] as &[Value]);
}

fn carried() {
    let lab = lab();
    let project = lab.project().unwrap();
    let caches = Caches {
        build: project.module_cache(),
        modules: project.module_cache(),
    };
    let mut command = project.command(&newest_go(), product::path());
    caches.set(&mut command);
    let scratch = Scratch::new("hazards::carried");
    let outcome = Traced::carried_in(scratch, command, &[], DOWNLOAD).finish();
    assert_eq!(outcome.report["mode"], "accelerate");
    is(only(&outcome), "same", "both");
}

/// Each for itself has its caches apart.
fn two_commands() {
    let lab = lab();
    let project = lab.project().unwrap();
    let command = project.command(&newest_go(), product::path());
    let script = format!(
        "GOCACHE={0}/b go build unsafe && GOMODCACHE={0}/b go mod download",
        project.root().display()
    );
    let outcome = Traced::start("hazards::two_commands", command, ["sh", "-c", &script]).finish();
    is(only(&outcome), "same", "both");
}

/// Nobody in this run is set to it; Go's README in it tells.
fn on_disk() {
    let lab = lab();
    let project = lab.project().unwrap();
    let caches = Caches {
        build: project.build_cache(),
        modules: project.module_cache(),
    };
    // The real go makes a build cache of it.
    let mut build = project.go(&newest_go(), ["build", "unsafe"]);
    build.env("GOCACHE", project.module_cache());
    let output = build.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(project.module_cache().join("README").is_file());
    let outcome = caches.observed("on_disk", &project);
    let hazard = only(&outcome);
    is(hazard, "same", "both");
    assert_eq!(hazard["confidence"], "likely");
    assert_eq!(hazard["evidence"]["build_cache_known_by"], "found_on_disk");
}

/// Settings that can't be read: `go` passes over a GOENV that is a directory. What it opens tells nevertheless.
fn opened() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    command
        .env("GOENV", project.root())
        .env("GOCACHE", project.module_cache());
    let script = "go build internal/goarch && go mod download";
    let outcome = Traced::start("hazards::opened", command, ["sh", "-c", script]).finish();
    let hazard = only(&outcome);
    is(hazard, "same", "both");
    assert_eq!(hazard["confidence"], "confirmed");
    for cache in ["build_cache_known_by", "module_cache_known_by"] {
        assert_eq!(hazard["evidence"][cache], "opened", "{hazard:#}");
    }
}

fn env_file() {
    let lab = lab();
    let project = lab.project().unwrap();
    let scratch = Scratch::new("hazards::env_file");
    let shared = scratch.file("shared");
    let set = |name: &str, value: &Path| {
        let words = ["env", "-w", &format!("{name}={}", value.display())];
        let output = project
            .go(&newest_go(), words)
            .env_remove(name)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    set("GOCACHE", &shared.join("x"));
    set("GOMODCACHE", &shared);
    let mut command = project.command(&newest_go(), product::path());
    command.env_remove("GOCACHE").env_remove("GOMODCACHE");
    let outcome = Traced::start("hazards::env_file", command, DOWNLOAD).finish();
    is(only(&outcome), "build_in_modules", "both");
}
