// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds in which resolvers are asked encrypted, beside the nameservers.

use serde_json::json;

use super::*;

const URLS: [&str; 2] = ["tls://192.0.2.1:853", "https://dns.example:443/dns-query"];

/// As [`world`], for this host, where the first resolver's tries end as `first` says, and nobody answers for the second.
fn asked(
    host: &str,
    tries: usize,
    first: &Ending,
    wrong: impl Fn(&Arm, usize) -> Option<Ending>,
) -> Experiment {
    let mut experiment = world(tries, wrong);
    experiment.host = host.into();
    experiment.resolvers = URLS.map(|url| url.parse().unwrap()).to_vec();
    for (resolver, https) in [false, true].into_iter().enumerate() {
        for (of, v6) in [
            (Side::Target, false),
            (Side::Target, true),
            (Side::Control, false),
            (Side::Control, true),
        ] {
            let arm = Arm::Encrypted {
                of,
                https,
                v6,
                resolver,
            };
            for _ in 0..tries {
                let ending = match arm {
                    _ if https => Ending::Failed(Failure::Timeout),
                    Arm::Encrypted {
                        of: Side::Target,
                        v6: false,
                        ..
                    } => first.clone(),
                    _ => sound(&arm),
                };
                experiment.results.add(arm, try_of(ending));
            }
        }
    }
    experiment
}

fn known() -> Ending {
    resolved("NOERROR", &["198.18.2.1"])
}

fn hidden(answer: &Ending) -> impl Fn(&Arm, usize) -> Option<Ending> + use<'_> {
    |arm, _| of_target(arm).map(|_| answer.clone())
}

#[test]
fn they_alone_are_no_finding() {
    for first in [
        known(),
        resolved("NXDOMAIN", &[]),
        Ending::Failed(Failure::DnsNoAddress),
    ] {
        let experiment = asked("proxy.golang.org", 5, &first, |_, _| None);
        assert_eq!(only(&experiment), (Verdict::Ok, Confidence::Confirmed));
        assert_eq!(infer(&experiment)[0].evidence.get("resolvers"), None);
    }
}

#[test]
fn a_name_that_one_of_them_knows_exists() {
    let no_such_name = resolved("NXDOMAIN", &[]);
    for (tries, confidence) in [
        (5, Confidence::Confirmed),
        (4, Confidence::Likely),
        (1, Confidence::Suspected),
    ] {
        let experiment = asked("inner.example", tries, &known(), hidden(&no_such_name));
        assert_eq!(only(&experiment), (Verdict::DnsNxdomain, confidence));
        let evidence = &infer(&experiment)[0].evidence;
        assert_eq!(evidence.get("unless"), None);
        assert_eq!(evidence.get("resolvers"), Some(&json!([URLS[0]])));
        assert_eq!(
            evidence.get("passed").unwrap()["encrypted"],
            format!("{tries}/{tries}")
        );
    }
}

#[test]
fn a_name_that_none_of_them_knows_may_not_exist() {
    let no_such_name = resolved("NXDOMAIN", &[]);
    for first in [
        no_such_name.clone(),
        resolved("NOERROR", &[]),
        // As block lists answer.
        resolved("NOERROR", &["0.0.0.0"]),
        Ending::Failed(Failure::Reset),
    ] {
        let experiment = asked("inner.example", 5, &first, hidden(&no_such_name));
        assert_eq!(
            only(&experiment),
            (Verdict::DnsNxdomain, Confidence::Suspected)
        );
        let evidence = &infer(&experiment)[0].evidence;
        assert!(evidence.get("unless").is_some());
        assert_eq!(evidence.get("resolvers"), None);
        assert!(evidence.get("passed").unwrap().get("encrypted").is_none());
    }
}

#[test]
fn they_are_evidence_for_whatever_is_wrong_with_the_nameservers() {
    let second: IpAddr = SERVERS[1].parse().unwrap();
    for (answer, verdict) in [
        (resolved("NXDOMAIN", &[]), Verdict::DnsNxdomain),
        (Ending::Failed(Failure::Timeout), Verdict::DnsTimeout),
        (resolved("REFUSED", &[]), Verdict::Seen(Passive::DnsRefused)),
    ] {
        let all = asked("proxy.golang.org", 5, &known(), hidden(&answer));
        let one = asked("proxy.golang.org", 5, &known(), |arm, _| {
            of_target(arm)
                .filter(|server| *server == second)
                .map(|_| answer.clone())
        });
        for (experiment, verdict) in [(all, verdict), (one, Verdict::DnsInconsistent)] {
            let findings = infer(&experiment);
            assert_eq!(findings.len(), 1, "{findings:#?}");
            assert_eq!(findings[0].verdict, verdict);
            let evidence = &findings[0].evidence;
            assert_eq!(evidence.get("passed").unwrap()["encrypted"], "5/5");
            assert_eq!(evidence.get("resolvers"), Some(&json!([URLS[0]])));
        }
    }
}

#[test]
fn nameservers_that_know_nothing_at_all_say_nothing_of_the_name() {
    let experiment = asked("proxy.golang.org", 5, &known(), |arm, _| {
        matches!(arm, Arm::Dns { .. }).then_some(Ending::Failed(Failure::Timeout))
    });
    let findings = infer(&experiment);
    assert_eq!(only(&experiment).0, Verdict::ControlFailed);
    assert_eq!(findings[0].evidence.get("resolvers"), None);
}
