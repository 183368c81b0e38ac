// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that owns the probe's sockets: where it lives, and as whom.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use gomod_trace::launch::{Cgroup, Hierarchy};
use libtest_mimic::Trial;

use crate::harness::{Need, eventually, product, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "probe::worker::joins_the_cgroup_and_becomes_the_user",
            [Need::Tracing],
            joins_and_becomes,
        ),
        trial("probe::worker::input_by_hand_is_refused", [], by_hand),
    ]
}

/// Ends with the trial.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn joins_and_becomes() {
    let cgroup = Cgroup::create(&Hierarchy::find().unwrap()).unwrap();
    let child = Command::new(product::path())
        .args([
            "probe-worker",
            "--uid",
            "65534",
            "--gid",
            "65533",
            "--groups",
            "4,24",
            "--cgroup",
        ])
        .arg(cgroup.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut worker = Worker(child);
    let pid = worker.0.id();
    let mut input = worker.0.stdin.take().unwrap();
    input.write_all(b"{\"roots\":[]}\n").unwrap();
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |name: &str| {
        status()
            .lines()
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
            .unwrap_or_default()
    };
    eventually("the worker is the user", status, || {
        (line("Uid:").split_whitespace().collect::<Vec<_>>() == ["65534"; 4]).then_some(())
    });
    assert_eq!(
        line("Gid:").split_whitespace().collect::<Vec<_>>(),
        ["65533"; 4]
    );
    assert_eq!(
        line("Groups:").split_whitespace().collect::<Vec<_>>(),
        ["4", "24"]
    );
    assert_eq!(line("CapEff:").trim(), "0000000000000000");
    assert_eq!(cgroup.members().unwrap(), [pid.cast_signed()]);
    // It ends with its input.
    drop(input);
    assert!(worker.0.wait().unwrap().success());
    cgroup.dismantle().unwrap();
}

fn by_hand() {
    for input in ["", "hello\n"] {
        let mut child = Command::new(product::path())
            .arg("probe-worker")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains("not by hand") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}
