// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing is left behind, however a run ends; and nobody who is traced is harmed by our end.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::harness::footprint::{Footprint, cgroups_of, mounts};
use crate::harness::process::lives;
use crate::harness::traced::number;
use crate::harness::{Need, Scratch, Traced, eventually, helper, product, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 7] = [
        ("after_success", || released(0)),
        ("after_failure", || released(3)),
        ("after_a_command_that_is_not_there", not_there),
        ("after_ctrl_c", ctrl_c),
        ("after_kill_9_the_command_goes_on", killed),
        ("background_children_are_traced_to_their_end", background),
        (
            "background_children_outlive_an_interrupt",
            left_in_the_background,
        ),
    ];
    tests
        .into_iter()
        .map(|(name, test)| trial(format!("residue::{name}"), [Need::Tracing], test))
        .collect()
}

/// A shell's words that wait until the file `go` appears in the scratch directory, or that directory is gone.
const WAIT: &str = "while test -d \"$0\" && ! test -e \"$0/go\"; do sleep 0.05; done";

fn shell(trial: &str, script: &str) -> Traced {
    let scratch = Scratch::new(&format!("residue::{trial}"));
    let directory = scratch.path().to_owned();
    let words = ["sh", "-c", script, directory.to_str().unwrap()].map(str::to_owned);
    Traced::start_in(scratch, Command::new(product::path()), &[], words)
}

fn release(traced: &Traced) {
    File::create(traced.scratch().file("go")).unwrap();
}

/// Waits until the shell runs; its process id.
fn shell_of(traced: &mut Traced) -> u32 {
    // On a busy machine the shell may have ended before its arguments were read; its executable is known all the same.
    let is_shell = |event: &serde_json::Value| {
        event["argv"][0] == "sh" || event["exe"].as_str().is_some_and(|exe| exe.ends_with("sh"))
    };
    let started = traced.event("the shell starts", |event| {
        event["kind"] == "process" && is_shell(event)
    });
    number(&started["pid"]) as u32
}

fn released(code: i32) {
    let before = mounts();
    let mut traced = shell(&format!("released.{code}"), &format!("{WAIT}; exit {code}"));
    shell_of(&mut traced);
    let footprint = Footprint::of(traced.pid());
    assert_eq!(cgroups_of(traced.pid()).len(), 1);
    release(&traced);
    let outcome = traced.finish();
    assert_eq!(outcome.status.code(), Some(code), "{}", outcome.stderr);
    footprint.vanishes();
    assert_eq!(mounts(), before);
}

fn not_there() {
    let before = mounts();
    let mut command = Command::new(product::path());
    command.args(["run", "--observe", "--", "/nowhere/at-all"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
    assert_eq!(mounts(), before);
}

fn ctrl_c() {
    let before = mounts();
    let mut traced = shell("ctrl_c", WAIT);
    let shell = shell_of(&mut traced);
    let footprint = Footprint::of(traced.pid());
    // As a terminal does: to everybody in the foreground.
    killpg(Pid::from_raw(traced.pid().cast_signed()), Signal::SIGINT).unwrap();
    let outcome = traced.finish();
    assert_eq!(outcome.status.signal(), Some(2), "{}", outcome.stderr);
    assert!(!lives(shell));
    footprint.vanishes();
    assert_eq!(mounts(), before);
}

fn killed() {
    let before = mounts();
    let mut traced = shell("killed", &format!("{WAIT}; echo unharmed >\"$0/told\""));
    let shell = shell_of(&mut traced);
    let agent = traced.pid();
    let footprint = Footprint::of(agent);
    traced.signal(Signal::SIGKILL);
    assert_eq!(traced.wait().signal(), Some(9));
    footprint.vanishes_from_the_kernel();
    assert_eq!(mounts(), before);
    assert!(lives(shell), "the command died with us");

    // The next run clears up what a killed one cannot.
    assert_eq!(cgroups_of(agent).len(), 1);
    let next = Traced::start("residue::next", Command::new(product::path()), ["true"]).finish();
    assert!(next.status.success(), "{}", next.stderr);
    assert_eq!(cgroups_of(agent), Vec::<std::path::PathBuf>::new());
    assert!(lives(shell), "the command died with the next run");

    release(&traced);
    let told = traced.scratch().file("told");
    eventually("the command ends by itself", String::new, || {
        (fs::read_to_string(&told).unwrap_or_default() == "unharmed\n").then_some(())
    });
}

fn background() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = helper::to(address).join(" ");
    let mut traced = shell("background", &format!("({WAIT}; exec {connect}) & exit 5"));
    let agent = traced.pid();
    let shell = shell_of(&mut traced);
    traced.event("the shell ends", |event| {
        event["kind"] == "process" && event["state"] == "ended" && event["pid"] == shell
    });
    let footprint = Footprint::of(agent);
    assert_eq!(cgroups_of(agent).len(), 1);
    release(&traced);
    drop(listener.accept().unwrap());
    let outcome = traced.finish();
    assert_eq!(outcome.status.code(), Some(5), "{}", outcome.stderr);
    let connections = outcome.list("connections");
    assert!(
        connections
            .iter()
            .any(|connection| connection["remote"] == address.to_string()),
        "{connections:#?}"
    );
    footprint.vanishes();
}

fn left_in_the_background() {
    let mut traced = shell(
        "left_in_the_background",
        &format!("({WAIT}; echo unharmed >\"$0/told\") & echo $! >\"$0/pid\"; exit 5"),
    );
    let shell = shell_of(&mut traced);
    let footprint = Footprint::of(traced.pid());
    traced.event("the shell ends", |event| {
        event["kind"] == "process" && event["state"] == "ended" && event["pid"] == shell
    });
    let pid: u32 = fs::read_to_string(traced.scratch().file("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(lives(pid));
    traced.signal(Signal::SIGTERM);
    assert_eq!(traced.wait().code(), Some(5), "{}", traced.stderr());
    footprint.vanishes();
    assert!(lives(pid), "the background child died with us");
    release(&traced);
    let told = traced.scratch().file("told");
    eventually("the background child ends by itself", String::new, || {
        (fs::read_to_string(&told).unwrap_or_default() == "unharmed\n").then_some(())
    });
    let outcome = traced.finish();
    assert_eq!(outcome.report["exit_code"], 5);
}
