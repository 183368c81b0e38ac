// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel object that ships, in this machine's kernel.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Instant;

use gomod_trace::kernel::events::{Event, EventKind, TcpMoment};
use gomod_trace::kernel::{Options, Tracer};
use gomod_trace::launch::{Cgroup, Hierarchy};
use libtest_mimic::Trial;

use crate::harness::{Need, PATIENCE, Running, Scratch, helper, trial};

/// Short connections of the second trial.
const CONNECTIONS: usize = 2000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "kernel_programs::all_are_attached",
            [Need::Tracing],
            all_are_attached,
        ),
        trial(
            "kernel_programs::two_thousand_connections_lose_no_event",
            [Need::Tracing],
            many_connections,
        ),
    ]
}

fn in_a_cgroup(work: impl AsyncFnOnce(&Cgroup, &mut Tracer)) {
    let cgroup = Cgroup::create(&Hierarchy::find().unwrap()).unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let mut tracer = Tracer::start(cgroup.as_fd(), Options::default()).unwrap();
            work(&cgroup, &mut tracer).await;
        });
    cgroup.dismantle().unwrap();
}

fn all_are_attached() {
    in_a_cgroup(async |_, tracer| assert_eq!(tracer.missing(), []));
}

fn many_connections() {
    in_a_cgroup(async |cgroup, tracer| {
        let scratch = Scratch::new("kernel_programs::many_connections");
        // A shell joins, and becomes the program: its sockets are made in the cgroup.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\""])
            .arg(cgroup.path())
            .args(helper::to_ourselves(CONNECTIONS));
        let mut program = Running::start(shell, &scratch, "connections");
        let began = Instant::now();
        let mut events: Vec<Event> = Vec::new();
        while program.ended().is_none() {
            assert!(began.elapsed() < PATIENCE, "the program hangs");
            events.extend(tracer.next().await.unwrap());
        }
        events.extend(tracer.finish().unwrap());
        assert!(program.wait().success(), "{}", program.stderr());

        let mut connects = HashSet::new();
        let mut established = HashSet::new();
        for event in &events {
            match &event.kind {
                EventKind::Connect { cookie, .. } => {
                    connects.insert(*cookie);
                }
                EventKind::Tcp(tcp) if tcp.moment == TcpMoment::Established => {
                    established.insert(tcp.cookie);
                }
                EventKind::Lost { count } => panic!("{count} events were lost"),
                _ => {}
            }
        }
        assert_eq!(connects.len(), CONNECTIONS);
        // Of those that accepted them, in the same cgroup, the kernel tells too.
        assert_eq!(connects.difference(&established).count(), 0);
    });
}
