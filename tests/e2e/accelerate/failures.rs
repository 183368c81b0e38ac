// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we can't mend fails as it would without us, or says why.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use gomod_lab::{Lab, Modules};
use libtest_mimic::Trial;

use super::{PlainGo, Run, fault, near, succeeded, trial};
use crate::harness::PATIENCE;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("an_upstream_failure_is_go_s_own_error", honest),
        trial("a_refusal_for_good_passes_as_it_came", refused),
        trial("a_certificate_that_nobody_knows_is_refused", untrusted),
        trial("a_corrupted_zip_is_go_s_own_error", || {
            corrupted(".zip", "checksum error");
        }),
        trial("a_corrupted_go_mod_is_go_s_own_error", || {
            corrupted(".mod", "checksum mismatch");
        }),
        trial("a_stranger_who_dials_our_port_gets_nothing", stranger),
    ]
}

fn honest() {
    let lab = near(0).fault(fault("connect-refused")).start().unwrap();
    let project = lab.project().unwrap();
    let outcome = Run::default().carried("honest", &project);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("502 Bad Gateway") || outcome.stderr.contains("504"),
        "{}",
        outcome.stderr
    );
    let failed = outcome
        .list("requests")
        .iter()
        .filter_map(|request| request["status"].as_u64())
        .collect::<BTreeSet<_>>();
    assert!(failed.iter().all(|status| *status >= 502), "{failed:?}");
}

fn refused() {
    let lab = near(0).modules(Modules::many(2)).fault(fault("status=503"));
    let lab = lab.start().unwrap();
    let run = Run::default();
    let words = "503 Service Unavailable";
    run.plain("refused", &lab.project().unwrap(), PlainGo::Fails(words));
    let outcome = run.carried("refused", &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    for words in [words, "the lab says 503"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

/// We trust what the machine trusts, and `go` is told why it gets nothing.
fn untrusted() {
    let lab = near(0).modules(Modules::many(2));
    let lab = lab.fault(fault("untrusted-certificate")).start().unwrap();
    let run = Run::default();
    let words = "certificate signed by unknown authority";
    run.plain("untrusted", &lab.project().unwrap(), PlainGo::Fails(words));
    let outcome = run.carried("untrusted", &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    for words in ["502 Bad Gateway", "is not trusted by this machine"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    assert!(
        lab.requests().is_empty(),
        "something was asked of a host that nobody trusts"
    );
}

/// `go` checks hashes itself, and what we carry is what came.
fn corrupted(ending: &str, words: &'static str) {
    let lab = near(0).modules(Modules::many(2));
    let lab = lab.fault(fault(&format!("body-corrupt,path=*{ending}")));
    let lab = lab.start().unwrap();
    let run = Run::default();
    let name = format!("corrupted{ending}");
    run.plain(&name, &lab.project().unwrap(), PlainGo::Fails(words));
    let outcome = run.carried(&name, &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

fn stranger() {
    let lab = near(0).modules(Modules::many(2)).start().unwrap();
    let project = lab.project().unwrap();
    let marker = project.root().join("go-on");
    let wait = format!(
        "while ! test -e {}; do sleep 0.1; done; exec go mod download",
        marker.display()
    );
    let mut traced = Run::of(&["sh", "-c", &wait]).start("stranger", &project);
    traced.event("the command runs", |event| event["kind"] == "process");
    let ports = listening(&lab);
    assert!(!ports.is_empty(), "nobody listens");
    for port in ports {
        let got = lab
            .on_client(|| {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                // It may be gone already.
                let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: proxy.golang.org\r\n\r\n");
                let mut got = Vec::new();
                let ending = stream.read_to_end(&mut got);
                assert!(
                    !ending.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
                    "it was kept waiting"
                );
                got
            })
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&got), "");
    }
    std::fs::write(&marker, "").unwrap();
    succeeded(&traced.finish());
}

/// Ports that somebody listens on at 127.0.0.1, on the client's side.
fn listening(lab: &Lab) -> Vec<u16> {
    let table = lab
        .on_client(|| std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap())
        .unwrap();
    // proc_net_tcp: the second column is the local address, in hexadecimal and the machine's byte order; 0A is LISTEN.
    let local = format!("{:08X}:", u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets()));
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns.get(3) == Some(&"0A"))
        .filter_map(|columns| columns.get(1)?.strip_prefix(local.as_str()))
        .map(|port| u16::from_str_radix(port, 16).unwrap())
        .collect()
}
