// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel object that ships, in this machine's kernel.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gomod_trace::kernel::events::{Event, EventKind, FileOperation, TcpMoment};
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
        trial(
            "kernel_programs::of_found_files_those_that_were_sought_are_told",
            [Need::Tracing],
            found_files,
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

/// What is told while a program runs in the cgroup, to its end.
async fn events_of(
    cgroup: &Cgroup,
    tracer: &mut Tracer,
    scratch: &Scratch,
    program: impl IntoIterator<Item: AsRef<OsStr>>,
) -> Vec<Event> {
    // A shell joins, and becomes the program: its sockets are made in the cgroup.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\""])
        .arg(cgroup.path())
        .args(program);
    let mut program = Running::start(shell, scratch, "program");
    let began = Instant::now();
    let mut events: Vec<Event> = Vec::new();
    while program.ended().is_none() {
        assert!(began.elapsed() < PATIENCE, "the program hangs");
        events.extend(tracer.next().await.unwrap());
    }
    events.extend(tracer.finish().unwrap());
    assert!(program.wait().success(), "{}", program.stderr());
    for event in &events {
        if let EventKind::Lost { count } = event.kind {
            panic!("{count} events were lost");
        }
    }
    events
}

fn many_connections() {
    in_a_cgroup(async |cgroup, tracer| {
        let scratch = Scratch::new("kernel_programs::many_connections");
        let connections = helper::to_ourselves(CONNECTIONS);
        let events = events_of(cgroup, tracer, &scratch, connections).await;
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
                _ => {}
            }
        }
        assert_eq!(connects.len(), CONNECTIONS);
        // Of those that accepted them, in the same cgroup, the kernel tells too.
        assert_eq!(connects.difference(&established).count(), 0);
    });
}

/// Opens files with the shell's own hands, so that all is done by one process: names in vain, then those that another process
/// has completed meanwhile, twice, one after an error between; then, many times, one that was there all along, and a `go.mod`.
const LOOKING: &str = r#"
    look() { true <"$1" 2>/dev/null; }
    cd "$0"
    look v1.2.3-some.mod
    look v1.2.3-some.mod
    look v1.2.3-loop.info
    look "$1/v1.2.3-far.mod"
    sh -c 'echo >v1.2.3-some.mod; ln -s v1.2.3-loop.info v1.2.3-loop.info; echo >"$0/v1.2.3-far.mod"' "$1"
    look v1.2.3-some.mod
    look v1.2.3-loop.info
    look "$1/v1.2.3-far.mod"
    sh -c 'rm v1.2.3-loop.info; echo >v1.2.3-loop.info'
    look v1.2.3-loop.info
    for again in 1 2 3 4 5 6 7 8; do
        look v1.2.3-other.zip
        look extracted-module/go.mod
    done
    look v1.2.3-some.mod
    true
"#;

fn found_files() {
    in_a_cgroup(async |cgroup, tracer| {
        let scratch = Scratch::new("kernel_programs::found_files");
        let directory = scratch.path();
        // Longer than what the kernel programs tell names apart by.
        let far = "far".repeat(60);
        for name in ["extracted-module", &far] {
            std::fs::create_dir(directory.join(name)).unwrap();
        }
        for name in ["v1.2.3-other.zip", "extracted-module/go.mod"] {
            std::fs::write(directory.join(name), "").unwrap();
        }
        let program = [
            "sh".as_ref(),
            "-c".as_ref(),
            LOOKING.as_ref(),
            directory.as_os_str(),
            far.as_ref(),
        ];
        let events = events_of(cgroup, tracer, &scratch, program).await;
        let told: Vec<(&str, bool)> = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::File(file) if file.operation == FileOperation::Open => {
                    Some((name(&file.path), file.result >= 0))
                }
                _ => None,
            })
            .collect();
        let mut expected = vec![
            ("v1.2.3-some.mod", false),
            ("v1.2.3-loop.info", false),
            ("v1.2.3-far.mod", false),
            ("v1.2.3-some.mod", true),
            ("v1.2.3-far.mod", true),
            ("v1.2.3-loop.info", true),
        ];
        // A few of the rest say where the cache is.
        expected.extend([("v1.2.3-other.zip", true); 4]);
        assert_eq!(told, expected);
    });
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
