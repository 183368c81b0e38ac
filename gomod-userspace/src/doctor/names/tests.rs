// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resolver configurations and nameservers of made-up machines.

use super::super::State;
use super::*;

fn answered(rcode: &str, ms: u64) -> Reply {
    Reply::Answered {
        rcode: rcode.into(),
        addresses: vec!["198.18.2.1".parse().unwrap()],
        lame: false,
        took: Duration::from_millis(ms),
    }
}

fn machine(text: &str, replies: Vec<Reply>) -> NameFacts {
    let configuration = ResolvConf::parse(text.as_bytes());
    NameFacts {
        resolv_conf: Some(resolv_conf::PATH.into()),
        listed: listed(text.as_bytes()),
        nsswitch: Ok(Some("files dns".into())),
        resolved: None,
        asked: PUBLIC_PROXY.into(),
        replies: configuration
            .nameservers
            .iter()
            .copied()
            .zip(replies)
            .collect(),
        configuration: Ok(configuration),
    }
}

fn states(facts: &NameFacts, token: &str) -> Vec<State> {
    let checks = facts.judge(Some(Linking::Static));
    let of_token = checks.iter().filter(|one| one.check == token);
    of_token.map(|one| one.state).collect()
}

#[test]
fn an_ordinary_machine_is_well() {
    let facts = machine("nameserver 198.18.1.1\n", vec![answered("NOERROR", 3)]);
    let checks = facts.judge(None);
    assert!(
        checks.iter().all(|one| one.state == State::Ok),
        "{checks:#?}"
    );
}

#[test]
fn each_nameserver_is_judged_by_its_answer() {
    let lame = Reply::Answered {
        rcode: "NOERROR".into(),
        addresses: Vec::new(),
        lame: true,
        took: Duration::from_millis(1),
    };
    let refused = Reply::Unreachable {
        reason: "Connection refused".into(),
    };
    for (reply, state) in [
        (answered("NOERROR", 3), State::Ok),
        (answered("NOERROR", 301), State::Warn),
        (answered("SERVFAIL", 3), State::Fail),
        (Reply::Silent, State::Fail),
        (lame, State::Fail),
        (refused, State::Fail),
    ] {
        let facts = machine("nameserver 198.18.1.1\n", vec![reply.clone()]);
        assert_eq!(states(&facts, "names.server"), [state], "{reply:?}");
    }
}

#[test]
fn resolv_conf_is_judged() {
    for (text, state) in [
        ("nameserver 198.18.1.1\nnameserver 198.18.1.2\n", State::Ok),
        ("# empty\n", State::Warn),
        (
            "nameserver 198.18.1.1\nnameserver 198.18.1.1\n",
            State::Warn,
        ),
    ] {
        let facts = machine(text, Vec::new());
        assert_eq!(states(&facts, "names.resolv_conf"), [state], "{text}");
    }
    let mut missing = machine("", Vec::new());
    missing.resolv_conf = None;
    assert_eq!(states(&missing, "names.resolv_conf"), [State::Warn]);
    let mut unreadable = machine("", Vec::new());
    unreadable.configuration = Err("Permission denied".into());
    assert_eq!(states(&unreadable, "names.resolv_conf"), [State::Fail]);
    assert_eq!(states(&unreadable, "names.resolved"), []);
}

#[test]
fn nsswitch_must_ask_somebody() {
    for (hosts, state) in [
        (Some("files dns"), State::Ok),
        (
            Some("mymachines resolve [!UNAVAIL=return] files"),
            State::Ok,
        ),
        (Some("files"), State::Warn),
        (None, State::Ok),
    ] {
        let mut facts = machine("nameserver 198.18.1.1\n", Vec::new());
        facts.nsswitch = Ok(hosts.map(str::to_owned));
        assert_eq!(states(&facts, "names.nsswitch"), [state], "{hosts:?}");
    }
    let text = "passwd: files\n  hosts:\tfiles  dns # comment\n";
    assert_eq!(hosts_line(text).as_deref(), Some("files dns"));
    assert_eq!(hosts_line("passwd: files\n"), None);
}

#[test]
fn a_stub_that_does_not_run_is_noticed() {
    let mut facts = machine("nameserver 127.0.0.53\n", Vec::new());
    assert_eq!(states(&facts, "names.resolved"), [State::Warn]);
    facts.resolved = Some(vec!["198.18.1.1".parse().unwrap()]);
    assert_eq!(states(&facts, "names.resolved"), [State::Ok]);
}
