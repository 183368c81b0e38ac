// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings and versions of made-up machines.

use super::super::State;
use super::*;
use crate::golang::{
    BuildInfo,
    settings::{EnvFile, Sources},
};

/// Go of this version, with these entries of the environment.
fn facts(version: &str, entries: &[&str]) -> GoFacts {
    let environment = Environment::from_entries(entries);
    let goroot_file = EnvFile::Content {
        bytes:
            b"GOPROXY=https://proxy.golang.org,direct\nGOSUMDB=sum.golang.org\nGOTOOLCHAIN=auto\n"
                .to_vec(),
    };
    let sources = Sources {
        environment: &environment,
        user_file: &EnvFile::Missing,
        goroot_file: &goroot_file,
        go_version: None,
    };
    let text = |name: &str| {
        let value = environment.get(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    GoFacts {
        path: "/usr/bin".into(),
        found: Some(FoundGo {
            path: "/usr/bin/go".into(),
            executable: "/usr/lib/go/bin/go".into(),
            build_info: Ok(BuildInfo {
                go_version: format!("go{version}"),
                path: Some("cmd/go".into()),
            }),
        }),
        linking: Some(Linking::Static),
        written: written(&sources, &SHOWN).map_err(|error| error.to_string()),
        settings: Settings::effective(&sources).map_err(|error| error.to_string()),
        godebug: text("GODEBUG"),
        no_proxy: None,
        ipv6_address: false,
        ipv6_route: false,
    }
}

#[track_caller]
fn check(facts: &GoFacts, token: &str, subject: Option<&str>) -> Check {
    let checks = facts.judge();
    checks
        .iter()
        .find(|one| one.check == token && one.subject.as_deref() == subject)
        .unwrap_or_else(|| panic!("no {token} {subject:?}: {checks:#?}"))
        .clone()
}

#[test]
fn what_go_ships_is_well_but_for_its_known_bugs() {
    let facts = facts("1.27.3", &["HOME=/h"]);
    for one in facts.judge() {
        let expected = if matches!(one.subject.as_deref(), Some("TLS hello" | "HTTP/2")) {
            State::Warn
        } else {
            State::Ok
        };
        assert_eq!(one.state, expected, "{one:?}");
        assert!(one.state == State::Ok || one.remedy.is_some(), "{one:?}");
    }
    let proxy = check(&facts, "go.setting", Some("GOPROXY"));
    assert_eq!(
        proxy.finding,
        "https://proxy.golang.org,direct (GOROOT/go.env)"
    );
    let command = check(&facts, "go.command", None);
    assert_eq!(
        command.finding,
        "go1.27.3, /usr/bin/go, which is /usr/lib/go/bin/go"
    );
    let unset = check(&facts, "go.unset", None);
    assert!(unset.finding.contains("GOPRIVATE"), "{unset:?}");
}

#[test]
fn without_go_nothing_else_is_said_of_it() {
    let mut facts = facts("1.27.3", &[]);
    facts.found = None;
    let [command] = facts.judge().try_into().unwrap();
    assert_eq!(command.state, State::Fail);
    assert!(command.finding.contains("/usr/bin"), "{command:?}");
}

#[test]
fn the_hello_is_large_from_1_24_on_unless_debug_says_otherwise() {
    for (version, godebug, state) in [
        ("1.23.9", "", State::Ok),
        ("1.24.11", "", State::Warn),
        ("1.27.3", "tlsmlkem=0", State::Ok),
        ("1.27.3", "tlsmlkem=1", State::Warn),
    ] {
        let facts = facts(version, &[&format!("GODEBUG={godebug}")]);
        let hello = check(&facts, "go.known_bug", Some("TLS hello"));
        assert_eq!(hello.state, state, "{version} {godebug}");
    }
    let facts = facts("1.27.3", &["GODEBUG=http2client=0"]);
    assert_eq!(
        check(&facts, "go.known_bug", Some("HTTP/2")).state,
        State::Ok
    );
}

#[test]
fn settings_that_cost_safety_or_time_are_named() {
    for (entry, state) in [
        ("GOPROXY=direct", State::Warn),
        ("GOPROXY=off", State::Warn),
        ("GOPROXY=http://plain.example,direct", State::Warn),
        ("GOPROXY=https://mirror.example", State::Ok),
        ("GOSUMDB=off", State::Warn),
        ("GOSUMDB=nonsense", State::Fail),
        ("GOINSECURE=*.corp.example", State::Warn),
        ("GOPRIVATE=*.corp.example", State::Ok),
    ] {
        let name = entry.split('=').next().unwrap();
        let one = check(&facts("1.27.3", &[entry]), "go.setting", Some(name));
        assert_eq!(one.state, state, "{entry}: {one:?}");
    }
}

#[test]
fn passwords_are_shown_nowhere() {
    let facts = facts(
        "1.27.3",
        &[
            "GOPROXY=https://me:hunter2@corp.example,direct",
            "HTTPS_PROXY=http://me:hunter2@proxy.example:3128",
        ],
    );
    let proxy = check(&facts, "go.http_proxy", None);
    assert!(
        proxy.finding.contains("http://proxy.example:3128"),
        "{proxy:?}"
    );
    let all = format!("{:?}", facts.judge());
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn settings_that_stop_go_fail() {
    let facts = facts("1.27.3", &["GOFLAGS=nonsense"]);
    let settings = check(&facts, "go.settings", None);
    assert_eq!(settings.state, State::Fail);
    assert!(settings.finding.contains("GOFLAGS"), "{settings:?}");
}

#[test]
fn a_proxy_that_cannot_be_carried_through_is_a_warning() {
    let socks = facts("1.27.3", &["HTTPS_PROXY=socks5://127.0.0.1:1080"]);
    assert_eq!(check(&socks, "go.http_proxy", None).state, State::Warn);
    let none = facts("1.27.3", &[]);
    assert_eq!(check(&none, "go.http_proxy", None).state, State::Ok);
}

#[test]
fn the_resolver_follows_linking_and_debug() {
    let mut facts = facts("1.27.3", &["GODEBUG=netdns=cgo"]);
    assert_eq!(check(&facts, "go.resolver", None).state, State::Warn);
    facts.linking = Some(Linking::Dynamic);
    assert_eq!(check(&facts, "go.resolver", None).state, State::Ok);
    facts.linking = None;
    assert!(facts.judge().iter().all(|one| one.check != "go.resolver"));
}

#[test]
fn addresses_and_routes_are_read() {
    let own = "00000000000000000000000000000001 01 80 10 80       lo\n";
    let link = "fe800000000000000000000000000002 02 40 20 80     eth0\n";
    let local = "fd000000000000000000000000000002 02 40 00 80     eth0\n";
    let global = "20010002000000000000000000000002 02 40 00 80     eth0\n";
    assert!(!has_global(&[own, link, local].concat()));
    assert!(has_global(&[own, link, global].concat()));
    let zero = "0".repeat(32);
    let route = |interface: &str, length: &str| {
        format!(
            "{zero} {length} {zero} 00 {zero} ffffffff 00000001 00000000 00200200 {interface}\n"
        )
    };
    assert!(has_default(&route("eth0", "00")));
    assert!(!has_default(&route("lo", "00")));
    assert!(!has_default(&route("eth0", "40")));
    let facts = GoFacts {
        ipv6_address: true,
        ..facts("1.27.3", &[])
    };
    assert_eq!(
        check(&facts, "go.known_bug", Some("IPv6")).state,
        State::Warn
    );
}
