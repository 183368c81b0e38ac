// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds for tests: what each arm gives where all is well, and where something is wrong.

use super::*;

pub(super) const TARGET: &str = "198.18.2.1:443";
pub(super) const TARGET_V6: &str = "[2001:2::1]:443";
pub(super) const CONTROL: &str = "198.18.2.4:443";
pub(super) const SERVERS: [&str; 2] = ["198.18.1.1", "198.18.1.2"];

/// What happens without any fault.
pub(super) fn sound(arm: &Arm) -> Ending {
    match arm {
        Arm::Dns { v6: true, .. } | Arm::Encrypted { v6: true, .. } => resolved("NOERROR", &[]),
        Arm::Dns { of, .. } | Arm::Encrypted { of, .. } => resolved(
            "NOERROR",
            &[match of {
                Side::Target => "198.18.2.1",
                Side::Control => "198.18.2.4",
            }],
        ),
        Arm::Tcp { .. } | Arm::NonTls { .. } => Ending::Quiet,
        Arm::Hello { .. } => Ending::ServerHello {
            version: Some("1.3".into()),
        },
        Arm::Handshake { .. } => Ending::Trusted {
            issuer: "CN=Lab".into(),
            version: "1.3".into(),
        },
        Arm::Download { .. } => Ending::Downloaded(transfer(262_144, 200_000)),
    }
}

pub(super) fn resolved(rcode: &str, addresses: &[&str]) -> Ending {
    Ending::Resolved {
        rcode: rcode.into(),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

pub(super) fn transfer(bytes: u64, took_us: u64) -> Transfer {
    Transfer {
        status: 206,
        bytes,
        promised: Some(262_144),
        took_us,
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "worlds say what is wrong, or nothing"
)]
pub(super) fn failed(failure: Failure) -> Option<Ending> {
    Some(Ending::Failed(failure))
}

pub(super) fn all_arms() -> Vec<Arm> {
    let (target, control) = (TARGET.parse().unwrap(), CONTROL.parse().unwrap());
    let mut arms = Vec::new();
    for server in SERVERS {
        let server = server.parse().unwrap();
        for of in [Side::Target, Side::Control] {
            for v6 in [false, true] {
                arms.push(Arm::Dns {
                    of,
                    tcp: false,
                    v6,
                    server,
                });
            }
        }
    }
    arms.push(Arm::Tcp {
        at: Side::Target,
        address: target,
    });
    arms.push(Arm::Tcp {
        at: Side::Control,
        address: control,
    });
    arms.push(Arm::NonTls { address: target });
    for kind in [Hello::Go, Hello::Control, Hello::ControlSmall]
        .into_iter()
        .chain(Hello::MATRIX)
    {
        let address = match kind.at() {
            Side::Target => target,
            Side::Control => control,
        };
        arms.push(Arm::Hello { kind, address });
    }
    arms.push(Arm::Handshake { address: target });
    arms.push(Arm::Download { address: target });
    arms
}

/// An experiment in a world where `wrong` says how each try ends that does not end well.
pub(super) fn world(tries: usize, wrong: impl Fn(&Arm, usize) -> Option<Ending>) -> Experiment {
    let mut results = Results::default();
    for arm in all_arms() {
        for number in 0..tries {
            let ending = wrong(&arm, number).unwrap_or_else(|| sound(&arm));
            results.add(arm, try_of(ending));
        }
    }
    Experiment {
        host: "proxy.golang.org".into(),
        control: "www.example.com".into(),
        targets: vec![TARGET.parse().unwrap()],
        controls: vec![CONTROL.parse().unwrap()],
        matrix: Some(TARGET.parse().unwrap()),
        nameservers: SERVERS.map(|server| server.parse().unwrap()).to_vec(),
        resolvers: Vec::new(),
        asked_dns: true,
        proxied: false,
        results,
    }
}

/// The one verdict on such a world.
pub(super) fn only(experiment: &Experiment) -> (Verdict, Confidence) {
    let findings = infer(experiment);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    (findings[0].verdict, findings[0].confidence)
}

pub(super) fn kind_of(arm: &Arm) -> Option<Hello> {
    match arm {
        Arm::Hello { kind, .. } => Some(*kind),
        _ => None,
    }
}

pub(super) fn is_large(kind: Hello) -> bool {
    matches!(
        kind,
        Hello::Go | Hello::Control | Hello::Http1 | Hello::NoAlpn
    )
}

/// The nameserver that is asked for the target, if one is.
pub(super) fn of_target(arm: &Arm) -> Option<IpAddr> {
    match arm {
        Arm::Dns {
            of: Side::Target,
            server,
            ..
        } => Some(*server),
        _ => None,
    }
}
