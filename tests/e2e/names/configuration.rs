// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which nameservers are answered for, and what the command line can say about it.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use gomod_lab::{Lab, PROXY, Project, SUMDB, WEB_PROXY, WEB_PROXY_PORT};
use libtest_mimic::Trial;

use super::{
    STARTS_OF_GO, after, all_answered_soon, answered, latency, printed_an_address, questions_at,
    rows, start, watched,
};
use crate::harness::{
    Outcome, Scratch, Traced, eventually, needs::DOWNLOADS, newest_go, product, trial,
};

const LOOKUP: &str = "getent ahosts proxy.golang.org";

pub(super) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("names::{name}"), DOWNLOADS.iter().copied(), test);
    vec![
        trial("a_stub_of_the_machine_is_answered_for", local_stub),
        trial("a_changed_resolv_conf_is_followed", followed),
        trial("another_server_is_asked_if_the_user_says_so", other_server),
        trial(
            "a_server_asked_by_tls_or_https_is_asked_by_nothing_else",
            || {
                encrypted_server("tls://ns2.example.net");
                encrypted_server("https://ns2.example.net");
            },
        ),
        trial("no_dns_leaves_names_alone", no_dns),
        trial("observe_only_watches_names", observed),
        trial("names_are_asked_for_before_go_needs_them", || {
            prewarmed("module_proxy", None, [PROXY, SUMDB]);
            // Whoever asks a web proxy leaves other names to it.
            let web_proxy = format!("http://{WEB_PROXY}:{WEB_PROXY_PORT}");
            prewarmed("web_proxy", Some(&web_proxy), [WEB_PROXY]);
        }),
    ]
}

/// `gomod-trace` with this file as its resolv.conf, in a mount namespace of its own.
fn with_conf(project: &Project<'_>, conf: &std::path::Path) -> Command {
    let mut command = project.command(&newest_go(), "unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"")
        .arg(conf)
        .arg(product::path());
    command
}

fn twice() -> [String; 3] {
    [
        "sh".to_owned(),
        "-c".to_owned(),
        format!("{LOOKUP}; {LOOKUP}"),
    ]
}

fn words(words: &[String; 3]) -> [&str; 3] {
    [&words[0], &words[1], &words[2]]
}

/// As systemd-resolved's: resolv.conf names a loopback address.
fn local_stub() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let scratch = Scratch::new("names::local_stub");
    let conf = scratch.file("resolv.conf");
    fs::write(&conf, "nameserver 127.0.0.53\n").unwrap();
    let (inside, outside) = lab
        .on_client(|| {
            (
                UdpSocket::bind("127.0.0.53:53").unwrap(),
                UdpSocket::bind("0.0.0.0:0").unwrap(),
            )
        })
        .unwrap();
    outside.connect("198.18.1.1:53").unwrap();
    let stop = inside.try_clone().unwrap();
    let own = lab
        .on_client(|| UdpSocket::bind("127.0.0.1:0").unwrap())
        .unwrap();
    let outcome = std::thread::scope(|scope| {
        let forwarder = scope.spawn(move || forward(&inside, &outside));
        let command = with_conf(&project, &conf);
        let twice = twice();
        let outcome = Traced::carried_in(scratch, command, &[], words(&twice)).finish();
        // An empty datagram ends it.
        own.send_to(&[], stop.local_addr().unwrap()).unwrap();
        assert!(forwarder.join().unwrap() > 0, "it was never asked");
        outcome
    });
    printed_an_address(&outcome, &lab);
    all_answered_soon(&outcome);
    let rows = rows(&outcome, PROXY);
    assert_eq!(rows.len(), 4, "A and AAAA, twice");
    assert!(rows.iter().all(|row| row["server"] == "127.0.0.53:53"));
    assert!(
        rows[2..].iter().all(|row| row["source"] == "cache"),
        "{rows:?}"
    );
}

/// Passes questions and answers on, one at a time, until an empty datagram comes. Returns how many.
fn forward(inside: &UdpSocket, outside: &UdpSocket) -> usize {
    let mut buffer = [0; 4096];
    for count in 0.. {
        let (length, client) = inside.recv_from(&mut buffer).unwrap();
        if length == 0 {
            return count;
        }
        outside.send(&buffer[..length]).unwrap();
        let length = outside.recv(&mut buffer).unwrap();
        inside.send_to(&buffer[..length], client).unwrap();
    }
    0
}

fn followed() {
    let lab = Lab::builder().nameservers(2).start().unwrap();
    let project = lab.project().unwrap();
    let scratch = Scratch::new("names::followed");
    let conf = scratch.file("resolv.conf");
    fs::write(&conf, "nameserver 198.18.1.1\n").unwrap();
    let (marker, asked) = (project.root().join("go-on"), project.root().join("asked"));
    let script = format!(
        "{LOOKUP}; touch {}; {}",
        asked.display(),
        after(
            &marker,
            &format!("while ! {LOOKUP} | grep -q .; do :; done; {LOOKUP}")
        )
    );
    let command = with_conf(&project, &conf);
    let traced = Traced::carried_in(scratch, command, &[], ["sh", "-c", &script]);
    eventually("the first lookup is over", String::new, || {
        asked.is_file().then_some(())
    });
    fs::write(&conf, "nameserver 198.18.1.2\n").unwrap();
    // Nobody has to notice within a given time: what counts is that questions to the new one are answered by us in the
    // end, which only names that nobody else asks for again can show.
    std::thread::sleep(std::time::Duration::from_secs(3));
    fs::write(&marker, "").unwrap();
    let outcome = traced.finish();
    all_answered_soon(&outcome);
    let rows = rows(&outcome, PROXY);
    let of = |server: &str| {
        let rows = rows.iter().filter(|row| row["server"] == server);
        rows.map(|row| row["source"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("198.18.1.1:53").len(), 2);
    let second = of("198.18.1.2:53");
    assert_eq!(second.len(), 4, "{rows:?}");
    assert_eq!(second[2..], ["cache", "cache"], "{rows:?}");
    assert!(questions_at(&lab, 2, PROXY) > 0, "the new one was asked");
}

fn other_server() {
    let lab = Lab::builder()
        .nameservers(2)
        .fault("dns-drop,server=1".parse::<gomod_lab::Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let twice = twice();
    let options = ["--dns", "198.18.1.2"];
    let outcome = start("other_server", &project, &options, &words(&twice)).finish();
    printed_an_address(&outcome, &lab);
    all_answered_soon(&outcome);
    let asked: BTreeSet<u8> = lab
        .questions()
        .iter()
        .map(|question| question.server)
        .collect();
    assert_eq!(asked, BTreeSet::from([2]));
    assert!(
        rows(&outcome, PROXY)
            .iter()
            .all(|row| row["server"] == "198.18.1.1:53")
    );
}

/// With the certificates that the command trusts, among them the lab's.
fn encrypted_server(server: &str) {
    let lab = Lab::builder().nameservers(2).start().unwrap();
    let project = lab.project().unwrap();
    let twice = twice();
    let name = server.replace("://", "_");
    let outcome = start(&name, &project, &["--dns", server], &words(&twice)).finish();
    printed_an_address(&outcome, &lab);
    all_answered_soon(&outcome);
    let asked = lab.questions();
    let asked: Vec<_> = asked.iter().filter(|asked| asked.name == PROXY).collect();
    assert!(!asked.is_empty());
    for question in asked {
        assert!(question.server == 2 && question.tcp, "{question:?}");
    }
    let connections = lab.connections();
    assert!(
        connections.iter().any(|to| to.host == "ns2.example.net"),
        "{connections:?}"
    );
    assert!(
        rows(&outcome, PROXY)
            .iter()
            .all(|row| row["server"] == "198.18.1.1:53"),
        "as far as the command can see"
    );
}

/// Each question of the command reached the nameserver, and no other one.
fn left_alone(outcome: &Outcome, lab: &Lab) {
    let rows = rows(outcome, PROXY);
    assert_eq!(rows.len(), 4, "A and AAAA, twice");
    assert_eq!(questions_at(lab, 1, PROXY), rows.len());
    for row in rows {
        assert_eq!(row["source"], "network");
        assert_eq!(row["latency_ms"], row["network_ms"]);
        assert!(latency(row).is_some());
    }
    assert!(
        !outcome.stderr.contains("the network"),
        "{}",
        outcome.stderr
    );
}

fn no_dns() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let twice = twice();
    let outcome = start("no_dns", &project, &["--no-dns"], &words(&twice)).finish();
    left_alone(&outcome, &lab);
    // With us, the same costs one question of each type.
    let before = questions_at(&lab, 1, PROXY);
    answered("no_dns_but", &project, &words(&twice));
    assert_eq!(questions_at(&lab, 1, PROXY), before + 2);
}

fn observed() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let twice = twice();
    let outcome = watched("observed", &project, &words(&twice));
    assert_eq!(outcome.report["mode"], "observe");
    left_alone(&outcome, &lab);
    let mut command = project.command(&newest_go(), product::path());
    command.args(["run", "--observe", "--dns", "198.18.1.2", "--", "true"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--dns"));
}

/// It looks up nothing by itself. What it is set to, it would look up for a download.
fn prewarmed<const N: usize>(name: &str, web_proxy: Option<&str>, expected: [&str; N]) {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let script = format!("{STARTS_OF_GO}; sleep 1");
    let command = {
        let mut command = project.command(&newest_go(), product::path());
        command.env("GOSUMDB", SUMDB);
        command.envs(web_proxy.map(|url| ("HTTPS_PROXY", url)));
        command
    };
    let scratch = Scratch::new(&format!("names::prewarmed::{name}"));
    let outcome = Traced::carried_in(scratch, command, &[], ["sh", "-c", &script]).finish();
    assert_eq!(
        outcome.list("dns").len(),
        0,
        "the command asked for nothing"
    );
    let asked: BTreeSet<(String, String)> = lab
        .questions()
        .into_iter()
        .map(|question| (question.name, question.kind))
        .collect();
    let expected: BTreeSet<(String, String)> = expected
        .into_iter()
        .flat_map(|name| ["A", "AAAA"].map(|kind| (name.to_owned(), kind.to_owned())))
        .collect();
    assert_eq!(asked, expected);
}
