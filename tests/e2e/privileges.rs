// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each thread of a run may still do, once the command is started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

use gomod_lab::Lab;
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::harness::needs::DOWNLOADS;
use crate::harness::{Scratch, Traced, eventually, newest_go, product, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| {
        trial(
            format!("privileges::{name}"),
            DOWNLOADS.iter().copied(),
            test,
        )
    };
    vec![
        trial("threads_that_carry_traffic_have_none", carried),
        trial("an_agent_that_observes_keeps_what_it_needs", observed),
    ]
}

/// capability(7), by number.
const DAC_OVERRIDE: u64 = 1 << 1;
const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const SYS_PTRACE: u64 = 1 << 19;
/// What the agent's own thread keeps (docs/privileges.md; without `CAP_BPF`, from kernel 5.19 on).
const OF_AGENT: u64 = DAC_OVERRIDE | KILL | SETGID | SETUID | SYS_PTRACE;

/// `CapInh`, `CapPrm`, `CapEff`, and whether it may gain privileges by starting a program.
type Held = ([u64; 3], bool);

/// What the threads of each name hold.
type Threads = BTreeMap<String, BTreeSet<Held>>;

fn threads(process: u32) -> Threads {
    let mut threads = Threads::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let sets = ["CapInh:", "CapPrm:", "CapEff:"]
            .map(|set| u64::from_str_radix(&field(set), 16).unwrap());
        let held = (sets, field("NoNewPrivs:") == "0");
        threads.entry(field("Name:")).or_default().insert(held);
    }
    threads
}

/// A run that goes on for long, of a command that does nothing.
fn start(name: &str, options: &[&str], lab: &Lab) -> Traced {
    let project = lab.project().unwrap();
    let command: Command = project.command(&newest_go(), product::path());
    let scratch = Scratch::new(&format!("privileges::{name}"));
    let words = ["sleep", "60"];
    if options.contains(&"--observe") {
        Traced::start_in(scratch, command, &[], words)
    } else {
        Traced::carried_in(scratch, command, options, words)
    }
}

/// Waits until the threads are as they must be.
fn settle(mut traced: Traced, expected: &Threads) {
    traced.event("the command runs", |event| {
        event["kind"] == "process" && event["exe"].to_string().contains("sleep")
    });
    let agent = traced.pid();
    eventually(
        "the threads have given up what they do not need",
        || format!("{:#x?}\nexpected {expected:#x?}", threads(agent)),
        || (threads(agent) == *expected).then_some(()),
    );
    traced.signal(Signal::SIGTERM);
    traced.finish();
}

fn expected(of: &[(&str, u64, bool)]) -> Threads {
    of.iter()
        .map(|(name, kept, gains)| {
            let held = ([0, *kept, *kept], *gains);
            ((*name).to_owned(), BTreeSet::from([held]))
        })
        .collect()
}

fn carried() {
    let lab = Lab::builder()
        .rtt(Duration::from_millis(5))
        .start()
        .unwrap();
    let expected = expected(&[
        ("gomod-trace", OF_AGENT, true),
        ("accelerator", 0, false),
        ("nameserver", 0, false),
        ("nameserver-udp", 0, false),
        ("store-reader", DAC_OVERRIDE, false),
        ("store-writer", DAC_OVERRIDE, false),
    ]);
    settle(start("carried", &[], &lab), &expected);
}

fn observed() {
    let lab = Lab::builder().start().unwrap();
    let expected = expected(&[("gomod-trace", OF_AGENT, true)]);
    settle(start("observed", &["--observe"], &lab), &expected);
}
