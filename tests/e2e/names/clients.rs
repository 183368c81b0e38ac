// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resolvers other than Go's, with a dead nameserver before a living one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use gomod_lab::{Fault, FaultKind, Lab, PROXY};
use libtest_mimic::Trial;

use super::{
    PATIENT_MS, RESOLVER_MS, addresses_are_right, all_answered_soon, answered, latency,
    printed_an_address, rows, watched,
};
use crate::harness::{Need, Scratch, needs::NEWEST_GO, trial};

const C_PROGRAM: &str = include_str!("lookup.c");

pub(super) fn trials() -> Vec<Trial> {
    let trial = |name: &str, program: &'static str, test: fn()| {
        let needs = [
            Need::Tracing,
            Need::Lab,
            Need::Go(NEWEST_GO),
            Need::Program(program),
        ];
        trial(format!("names::{name}"), needs, test)
    };
    vec![
        trial("glibc_is_answered_in_the_nameservers_name", "getent", glibc),
        trial("musl_is_answered_in_the_nameservers_name", "musl-gcc", musl),
        trial("dig_is_answered_in_the_nameservers_name", "dig", dig),
        trial("what_we_do_not_know_passes_through", "dig", passed),
    ]
}

fn dead_first() -> Lab {
    Lab::builder()
        .nameservers(2)
        .fault(Fault::from(FaultKind::DnsDrop).server(1))
        .start()
        .unwrap()
}

fn glibc() {
    let lab = dead_first();
    let project = lab.project().unwrap();
    let words = ["getent", "ahosts", PROXY];
    let plain = watched("glibc", &project, &words);
    printed_an_address(&plain, &lab);
    let asked = rows(&plain, PROXY);
    let answer = asked.iter().find(|row| latency(row).is_some()).unwrap();
    let waited = answer["sent_ms"].as_f64().unwrap() - asked[0]["sent_ms"].as_f64().unwrap();
    assert!(waited >= RESOLVER_MS, "{waited}");

    let ours = answered("glibc", &project, &words);
    printed_an_address(&ours, &lab);
    all_answered_soon(&ours);
    addresses_are_right(&ours, &lab, PROXY);
}

/// musl asks all nameservers at once, on one unconnected socket, and checks who answers.
fn musl() {
    let scratch = Scratch::new("names::musl::program");
    let program = compile(&scratch);
    let lab = dead_first();
    let project = lab.project().unwrap();
    let words = [program.to_str().unwrap(), PROXY];
    let plain = watched("musl", &project, &words);
    printed_an_address(&plain, &lab);
    let ours = answered("musl", &project, &words);
    printed_an_address(&ours, &lab);
    addresses_are_right(&ours, &lab, PROXY);
    let rows = rows(&ours, PROXY);
    let servers: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["server"].as_str().unwrap())
        .collect();
    assert_eq!(servers.len(), 2, "it asks both: {servers:?}");
    // Whoever answers first is enough; it may be the dead one, as far as musl can see.
    for kind in ["A", "AAAA"] {
        let mut of_kind = rows.iter().filter(|row| row["type"] == kind);
        assert!(
            of_kind.any(|row| latency(row).is_some_and(|latency| latency < PATIENT_MS)),
            "{rows:?}"
        );
    }
}

fn compile(scratch: &Scratch) -> PathBuf {
    let (source, program) = (scratch.file("lookup.c"), scratch.file("lookup"));
    std::fs::write(&source, C_PROGRAM).unwrap();
    let output = Command::new("musl-gcc")
        .args(["-static", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

fn dig() {
    let lab = dead_first();
    let project = lab.project().unwrap();
    for transport in ["+notcp", "+tcp"] {
        let words = ["dig", "@198.18.1.1", transport, "+tries=1", PROXY, "A"];
        // The living one is not asked: `dig` was told whom to ask.
        if transport == "+notcp" {
            let plain = watched("dig", &project, &words);
            assert_eq!(plain.status.code(), Some(9), "{}", plain.stdout);
        }
        let ours = answered(&format!("dig{transport}"), &project, &words);
        assert!(ours.status.success(), "{}", ours.stdout);
        printed_an_address(&ours, &lab);
        assert!(
            ours.stdout.contains("SERVER: 198.18.1.1#53"),
            "{}",
            ours.stdout
        );
        all_answered_soon(&ours);
        let row = rows(&ours, PROXY)[0];
        assert_eq!(row["server"], "198.18.1.1:53");
        assert_eq!(
            row["transport"],
            if transport == "+tcp" { "tcp" } else { "udp" }
        );
    }
}

/// Types, classes and options that a stub need not know, and the case of a name.
fn passed() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    for question in [
        ["TYPE65280", "+dnssec", "proxy.golang.org"],
        ["CH", "TXT", "version.bind"],
        ["A", "+nocookie", "PrOxY.GoLang.ORG"],
    ] {
        let words: Vec<&str> = ["dig", "@198.18.1.1", "+tries=1"]
            .into_iter()
            .chain(question)
            .collect();
        let status = |text: &str| {
            let start = text.find("status: ").unwrap_or_else(|| panic!("{text}"));
            text[start..].split(',').next().unwrap().to_owned()
        };
        let plain = watched("passed", &project, &words);
        let ours = answered("passed", &project, &words);
        assert_eq!(status(&ours.stdout), status(&plain.stdout), "{question:?}");
        assert!(
            ours.stdout.contains(&format!(";{}.", question[2])),
            "the case of the name: {}",
            ours.stdout
        );
    }
}
