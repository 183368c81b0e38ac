// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, and what each nameserver says of them.

use super::*;

#[test]
fn nameservers() {
    let second: IpAddr = SERVERS[1].parse().unwrap();
    for (answer, verdict) in [
        (resolved("NXDOMAIN", &[]), Verdict::DnsNxdomain),
        (Ending::Failed(Failure::Timeout), Verdict::DnsTimeout),
        (resolved("REFUSED", &[]), Verdict::Seen(Passive::DnsRefused)),
    ] {
        let all = world(5, |arm, _| of_target(arm).map(|_| answer.clone()));
        assert_eq!(only(&all), (verdict, Confidence::Confirmed));
        let one = world(5, |arm, _| {
            of_target(arm)
                .filter(|server| *server == second)
                .map(|_| answer.clone())
        });
        assert_eq!(only(&one).0, Verdict::DnsInconsistent);
        // Where the control is answered so too, the nameserver is at fault, not a rule for the name.
        let dead = world(5, |arm, _| {
            matches!(arm, Arm::Dns { .. }).then(|| answer.clone())
        });
        assert_eq!(only(&dead).0, Verdict::ControlFailed);
    }
    let bogon = world(5, |arm, _| match arm {
        Arm::Dns { v6: false, .. } => of_target(arm).map(|_| resolved("NOERROR", &["127.0.0.1"])),
        _ => None,
    });
    assert_eq!(only(&bogon), (Verdict::DnsBogon, Confidence::Confirmed));
}

#[test]
fn a_name_that_may_not_exist_is_only_suspected() {
    let mut experiment = world(5, |arm, _| {
        of_target(arm).map(|_| resolved("NXDOMAIN", &[]))
    });
    experiment.host = "proxy.golang.orgg".into();
    assert_eq!(
        only(&experiment),
        (Verdict::DnsNxdomain, Confidence::Suspected)
    );
}
