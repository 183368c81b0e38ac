// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resolvers that are asked by TLS and HTTPS, beside the system's nameserver.

use std::collections::BTreeSet;
use std::fs;

use gomod_lab::{Fault, Lab};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{PROBES, Probed, lab};
use crate::harness::{Scratch, product, trial};

/// The second nameserver of the lab, as its certificate names it.
const TLS: &str = "tls://ns2.example.net:853";
const HTTPS: &str = "https://ns2.example.net:443/dns-query";

pub(super) fn trials() -> Vec<Trial> {
    let in_lab =
        |name: &str, test: fn()| trial(format!("probe::{name}"), PROBES.iter().copied(), test);
    vec![
        in_lab("a_name_that_an_encrypted_resolver_knows", known),
        in_lab("an_encrypted_resolver_that_is_dead", dead),
    ]
}

/// A lab with two nameservers, of which the system knows the first alone.
fn probe(name: &str, host: &str, fault: &str, words: &[&str]) -> (Lab, Probed) {
    let lab = lab()
        .nameservers(2)
        .fault(fault.parse::<Fault>().unwrap())
        .start()
        .unwrap();
    let scratch = Scratch::new(name);
    let conf = scratch.file("resolv.conf");
    fs::write(&conf, "nameserver 198.18.1.1\n").unwrap();
    let mut command = lab.command("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"")
        .arg(&conf)
        .arg(product::path());
    let probed = Probed::of_host(&format!("{name}_report"), command, host, words);
    (lab, probed)
}

fn arm<'a>(probed: &'a Probed, name: &str) -> &'a Value {
    probed.report["hosts"][0]["arms"]
        .as_array()
        .unwrap()
        .iter()
        .find(|arm| arm["name"] == name)
        .unwrap_or_else(|| panic!("no arm {name}: {:#}", probed.report))
}

/// Also of a host that nobody can know to exist but by asking another resolver.
fn known() {
    for host in ["proxy.golang.org", "git.example.org"] {
        let (lab, probed) = probe(
            &format!("probe::encrypted_{host}"),
            host,
            &format!("dns-nxdomain,host={host},server=1"),
            &["--dns", TLS, "--dns", HTTPS],
        );
        let seen = format!("{}{}{:#}", probed.stdout, probed.stderr, probed.report);
        assert_eq!(
            probed.tokens(),
            BTreeSet::from(["interference.dns.nxdomain"]),
            "{seen}"
        );
        assert_eq!(probed.code, Some(3), "{seen}");
        let verdict = &probed.verdicts()[0];
        assert_eq!(verdict["confidence"], "confirmed", "{seen}");
        let evidence = &verdict["evidence"];
        assert_eq!(evidence["servers"], json!(["198.18.1.1"]), "{seen}");
        assert_eq!(evidence["resolvers"], json!([TLS, HTTPS]), "{seen}");
        assert!(evidence["unless"].is_null(), "{seen}");
        for (token, url) in [("tls", TLS), ("https", HTTPS)] {
            for side in ["", "control."] {
                for kind in ["a", "aaaa"] {
                    let arm = arm(&probed, &format!("dns.{side}{token}.{kind}@{url}"));
                    assert_eq!(arm["tries"], 5, "{seen}");
                }
                let arm = arm(&probed, &format!("dns.{side}{token}.a@{url}"));
                assert_eq!(arm["passed"], 5, "{seen}");
            }
            assert!(probed.stdout.contains(&format!("resolver {url}")), "{seen}");
        }
        let advice = probed.report["hosts"][0]["advice"].as_array().unwrap();
        let command = format!("gomod-trace run --dns {TLS} -- go mod download");
        assert!(advice.contains(&command.into()), "{seen}");
        assert!(
            lab.questions()
                .iter()
                .all(|question| question.server == 1 || question.tcp),
            "{seen}"
        );
    }
}

/// One says nothing, nobody listens at the other, and the third has no address: nothing of the host's.
fn dead() {
    let shut = "tls://198.18.1.1:854";
    let nameless = "tls://no-such-host.example:853";
    let (_lab, probed) = probe(
        "probe::encrypted_dead",
        "proxy.golang.org",
        "dns-drop,host=*,server=2",
        &[
            "--tries", "3", "--dns", HTTPS, "--dns", shut, "--dns", nameless,
        ],
    );
    let seen = format!("{}{}{:#}", probed.stdout, probed.stderr, probed.report);
    assert_eq!(probed.tokens(), BTreeSet::from(["ok"]), "{seen}");
    assert_eq!(probed.code, Some(0), "{seen}");
    for (arm_name, failure) in [
        (format!("dns.https.a@{HTTPS}"), "generic_timeout_error"),
        (format!("dns.tls.aaaa@{shut}"), "dns_server_unreachable"),
        (
            format!("dns.control.tls.a@{nameless}"),
            "dns_server_unreachable",
        ),
    ] {
        let arm = arm(&probed, &arm_name);
        assert_eq!(arm["failures"], json!({ failure: 3 }), "{seen}");
    }
    assert_eq!(probed.report["hosts"][0]["advice"], json!([]), "{seen}");
}
