// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where tracing is impossible: one clear error that says what is missing and what would work, and the command is not started.

use std::path::Path;
use std::process::{Command, Output};

use gomod_trace::launch::Hierarchy;
use libtest_mimic::Trial;

use crate::harness::{Need, Scratch, product, trial};

/// Exit code for what must be mended on the command line or in the machine.
const USAGE_OR_SETUP: i32 = 2;
/// Exit code, as of env(1) and timeout(1), where the command could not be launched for a reason of ours.
const LAUNCH: i32 = 125;

pub(crate) fn trials() -> Vec<Trial> {
    let with = |name: &str, program: &'static str, test: fn()| {
        trial(
            format!("refusals::{name}"),
            [Need::Tracing, Need::Program(program)],
            test,
        )
    };
    vec![
        with("without_root", "setpriv", without_root),
        with("without_capabilities", "setpriv", without_capabilities),
        with("without_cgroup_v2", "unshare", without_cgroup_v2),
        with("cgroups_read_only", "unshare", cgroups_read_only),
        with("an_old_kernel", "setarch", old_kernel),
        with("bad_files", "sh", bad_files),
        with("bad_command_lines", "sh", bad_command_lines),
        with("commands_that_cannot_run", "sh", commands_that_cannot_run),
    ]
}

/// The words of a whole `gomod-trace run` whose command would leave a mark.
fn words(mark: &Path) -> Vec<String> {
    let product = product::path();
    [
        product.to_str().unwrap(),
        "run",
        "--observe",
        "--",
        "touch",
        mark.to_str().unwrap(),
    ]
    .map(str::to_owned)
    .into()
}

/// Runs `prefix` with a whole `gomod-trace run` behind it.
fn refused(trial: &str, prefix: &[&str], code: i32, expected: &[&str]) {
    let scratch = Scratch::new(&format!("refusals::{trial}"));
    let mark = scratch.file("mark");
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).args(words(&mark));
    let output = command.output().unwrap();
    one_error(&output, code, expected);
    assert!(!mark.exists(), "the command was started");
}

/// One line, ours, that holds all of `expected`.
fn one_error(output: &Output, code: i32, expected: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(output.stdout, b"", "something of ours on stdout");
    assert_eq!(stderr.lines().count(), 1, "not one line: {stderr}");
    assert!(stderr.starts_with("gomod-trace: "), "{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "no {text:?} in: {stderr}");
    }
}

fn without_root() {
    let product = product::path();
    let remedy = format!("sudo {} run --observe -- touch ", product.display());
    refused(
        "without_root",
        &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ],
        USAGE_OR_SETUP,
        &["CAP_BPF", "CAP_NET_ADMIN", &remedy],
    );
}

fn without_capabilities() {
    refused(
        "without_capabilities",
        &["setpriv", "--bounding-set=-perfmon,-bpf"],
        USAGE_OR_SETUP,
        &["CAP_PERFMON, CAP_BPF", "docker run --privileged"],
    );
}

/// In a mount namespace where `script` was run with the cgroup v2 mount as `$0`.
fn with_mounts(trial: &str, script: &str, expected: &[&str]) {
    let mount = Hierarchy::find().unwrap().mount;
    let script = format!("{script} && exec \"$@\"");
    refused(
        trial,
        &[
            "unshare",
            "--mount",
            "sh",
            "-c",
            &script,
            mount.to_str().unwrap(),
        ],
        LAUNCH,
        expected,
    );
}

fn without_cgroup_v2() {
    with_mounts(
        "without_cgroup_v2",
        "umount --lazy \"$0\"",
        &["no cgroup v2", "mount --mkdir -t cgroup2"],
    );
}

fn cgroups_read_only() {
    with_mounts(
        "cgroups_read_only",
        "mount -o remount,bind,ro \"$0\"",
        &["read-only", "--privileged"],
    );
}

fn old_kernel() {
    refused(
        "an_old_kernel",
        &["setarch", "--uname-2.6"],
        USAGE_OR_SETUP,
        &["2.6.", "too old", "5.10"],
    );
}

fn bad_files() {
    let scratch = Scratch::new("refusals::bad_files");
    let mark = scratch.file("mark");
    let nowhere = scratch.file("nowhere").join("file.json");
    let nowhere = nowhere.to_str().unwrap();
    for option in ["--report", "--events", "--record"] {
        for (path, expected) in [
            (nowhere, &[nowhere, "create it"][..]),
            ("-", &["'-'", "/dev/stdout"]),
            (scratch.path().to_str().unwrap(), &["directory"]),
        ] {
            let output = Command::new(product::path())
                .args(["run", "--observe", option, path, "--", "touch"])
                .arg(&mark)
                .output()
                .unwrap();
            one_error(&output, USAGE_OR_SETUP, expected);
            assert!(!mark.exists(), "the command was started");
        }
    }
}

fn bad_command_lines() {
    for (words, expected) in [
        (&["run"][..], "<CMD>"),
        (&["run", "--observe", "--"], "<CMD>"),
        (&["run", "--no-such-flag", "--", "true"], "--no-such-flag"),
        (&["run", "--report"], "--report"),
        (&["run", "true"], "--"),
        (&["no-such-command"], "no-such-command"),
    ] {
        let output = Command::new(product::path()).args(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(USAGE_OR_SETUP),
            "{words:?}: {stderr}"
        );
        assert_eq!(output.stdout, b"", "{words:?}");
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
        assert_eq!(stderr.matches("error:").count(), 1, "{words:?}: {stderr}");
    }
}

/// As a shell ends for them.
fn commands_that_cannot_run() {
    let scratch = Scratch::new("refusals::commands");
    let plain_file = scratch.file("plain-file");
    std::fs::write(&plain_file, "x").unwrap();
    for (command, code) in [
        ("no-such-command-anywhere", 127),
        ("/no/such/path", 127),
        (plain_file.to_str().unwrap(), 126),
        (scratch.path().to_str().unwrap(), 126),
    ] {
        let plain = Command::new("sh")
            .args(["-c", "exec \"$0\"", command])
            .output()
            .unwrap();
        assert_eq!(plain.status.code(), Some(code), "a shell: {plain:?}");
        let output = Command::new(product::path())
            .args(["run", "--observe", "--", command])
            .output()
            .unwrap();
        one_error(&output, code, &[command]);
    }
}
