// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults of the lab, what is run on such a network, and what must be said of it.

use std::collections::BTreeSet;

/// Whether traffic is only watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Observed,
    Carried,
}

/// What is wrong in a lab, a command, and what `run` must say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passive {
    pub(super) faults: &'static [&'static str],
    /// For `sh -c`.
    pub(super) script: &'static str,
    /// Verdicts, each with its cause where the run separates one.
    said: &'static [(&'static str, Option<&'static str>)],
    pub(super) way: Way,
    pub(super) nameservers: u8,
    /// go.sum is empty: the checksum database is asked.
    pub(super) without_sums: bool,
    /// What distinguishes it from another one of the same faults.
    note: &'static str,
}

impl Passive {
    pub(super) fn name(&self) -> String {
        let faults = if self.faults.is_empty() {
            "none".to_owned()
        } else {
            self.faults.join(" + ")
        };
        if self.note.is_empty() {
            faults
        } else {
            format!("{faults}; {}", self.note)
        }
    }

    pub(super) fn expected(&self) -> BTreeSet<String> {
        self.said
            .iter()
            .map(|(verdict, cause)| match cause {
                Some(cause) => format!("{verdict} ({cause})"),
                None => (*verdict).to_owned(),
            })
            .collect()
    }
}

const DOWNLOAD: &str = "go mod download";

const fn observed(
    faults: &'static [&'static str],
    said: &'static [(&'static str, Option<&'static str>)],
) -> Passive {
    Passive {
        faults,
        script: DOWNLOAD,
        said,
        way: Way::Observed,
        nameservers: 1,
        without_sums: false,
        note: "",
    }
}

const fn carried(
    faults: &'static [&'static str],
    said: &'static [(&'static str, Option<&'static str>)],
) -> Passive {
    Passive {
        way: Way::Carried,
        ..observed(faults, said)
    }
}

const fn script(script: &'static str, note: &'static str, passive: Passive) -> Passive {
    Passive {
        script,
        note,
        ..passive
    }
}

const SMALL: &str = "go mod download || GODEBUG=tlsmlkem=0 go mod download";
const WITHOUT_H2: &str = "go mod download || GODEBUG=http2client=0 go mod download";
const OTHER_NAME: &str = "go mod download; GODEBUG=tlsmlkem=0,http2client=0 go mod download; \
     GOPROXY=https://www.example.com go mod download";

pub(super) const PASSIVE: &[Passive] = &[
    observed(&[], &[]),
    observed(&["sni-reset"], &[("anomaly.hello.reset", None)]),
    script(
        OTHER_NAME,
        "then small, then another name",
        observed(
            &["sni-reset"],
            &[("anomaly.hello.reset", Some("server_name"))],
        ),
    ),
    observed(&["sni-drop"], &[("anomaly.hello.timeout", None)]),
    observed(&["large-hello-drop"], &[("anomaly.hello.timeout", None)]),
    script(
        SMALL,
        "then small",
        observed(
            &["large-hello-drop"],
            &[("anomaly.hello.timeout", Some("clienthello_size"))],
        ),
    ),
    script(
        WITHOUT_H2,
        "then without h2",
        observed(
            &["h2-hello-silence"],
            &[("anomaly.hello.timeout", Some("alpn_h2"))],
        ),
    ),
    observed(&["tls-close"], &[("anomaly.hello.closed", None)]),
    observed(&["tls-alert"], &[("anomaly.hello.alert", None)]),
    observed(
        &["untrusted-certificate"],
        &[("anomaly.handshake.untrusted", None)],
    ),
    observed(&["syn-drop"], &[("anomaly.connect.timeout", None)]),
    observed(&["syn-drop,family=v6"], &[]),
    observed(&["connect-refused"], &[("anomaly.connect.refused", None)]),
    observed(
        &["host-unreachable"],
        &[("anomaly.connect.unreachable", None)],
    ),
    observed(&["no-route"], &[("anomaly.connect.unreachable", None)]),
    observed(
        &["dns-dead-first"],
        &[("anomaly.connect.timeout", Some("dead_address"))],
    ),
    observed(&["dns-drop"], &[("anomaly.dns.timeout", None)]),
    observed(
        &["dns-drop,times=1"],
        &[("anomaly.dns.timeout", Some("lost_answers"))],
    ),
    observed(
        &["dns-drop,family=v6"],
        &[("anomaly.dns.timeout", Some("unanswered_aaaa"))],
    ),
    Passive {
        nameservers: 2,
        ..observed(
            &["dns-drop,server=1"],
            &[("anomaly.dns.timeout", Some("silent_nameserver"))],
        )
    },
    observed(
        &["dns-delay=3s"],
        &[("anomaly.dns.slow", Some("slow_resolver"))],
    ),
    observed(&["dns-nxdomain"], &[("anomaly.dns.nxdomain", None)]),
    observed(&["dns-refused"], &[("anomaly.dns.refused", None)]),
    observed(&["dns-servfail"], &[("anomaly.dns.refused", None)]),
    observed(&["silence"], &[("anomaly.request.stalled", None)]),
    observed(&["body-stop=50%"], &[("anomaly.body.stalled", None)]),
    observed(&["body-cut=50%"], &[("anomaly.body.cut", None)]),
    observed(&["body-reset=50%"], &[("anomaly.body.cut", None)]),
    observed(&["body-slow=1024"], &[("anomaly.body.slow", None)]),
    observed(
        &["lock-held"],
        &[("contention.lock", Some("lock_of_another_program"))],
    ),
    script(
        "go mod download & sleep 1; go mod download; wait",
        "two at once",
        observed(
            &["silence,path=*.zip"],
            &[
                ("anomaly.request.stalled", None),
                ("contention.lock", Some("lock_of_another_go")),
            ],
        ),
    ),
    observed(
        &["sni-reset", "dns-delay=3s"],
        &[
            ("anomaly.hello.reset", None),
            ("anomaly.dns.slow", Some("slow_resolver")),
        ],
    ),
    script(
        SMALL,
        "then small",
        observed(
            &["large-hello-drop", "dns-delay=3s"],
            &[
                ("anomaly.hello.timeout", Some("clienthello_size")),
                ("anomaly.dns.slow", Some("slow_resolver")),
            ],
        ),
    ),
    Passive {
        without_sums: true,
        note: "empty go.sum",
        ..observed(
            &["dns-delay=3s"],
            &[
                ("anomaly.dns.slow", Some("slow_resolver")),
                ("anomaly.dual_channel", None),
            ],
        )
    },
    carried(&[], &[]),
    carried(&["large-hello-drop"], &[]),
    carried(&["h2-hello-silence"], &[]),
    carried(&["syn-drop,family=v6"], &[]),
    carried(
        &["untrusted-certificate"],
        &[("anomaly.handshake.untrusted", Some("interception"))],
    ),
    carried(
        &["sni-drop,family=v6"],
        &[("anomaly.hello.timeout", Some("ipv6_black_hole"))],
    ),
    carried(&["sni-reset"], &[("anomaly.hello.reset", None)]),
    carried(&["sni-drop"], &[("anomaly.hello.timeout", None)]),
    carried(&["tls-close"], &[("anomaly.hello.closed", None)]),
    carried(&["tls-alert"], &[("anomaly.hello.alert", None)]),
    carried(&["syn-drop"], &[("anomaly.connect.timeout", None)]),
    carried(&["connect-refused"], &[("anomaly.connect.refused", None)]),
    carried(
        &["host-unreachable"],
        &[("anomaly.connect.unreachable", None)],
    ),
];

#[cfg(test)]
mod tests {
    use gomod_trace::diagnose::{Cause, Verdict};

    use super::*;

    #[test]
    fn faults_verdicts_and_causes_are_those_that_there_are() {
        for truth in PASSIVE {
            for fault in truth.faults {
                fault.parse::<gomod_lab::Fault>().unwrap();
            }
            for (verdict, cause) in truth.said {
                assert!(
                    Verdict::ALL.iter().any(|known| known.token() == *verdict),
                    "{verdict}"
                );
                assert!(
                    cause.is_none_or(|cause| Cause::ALL.iter().any(|known| known.token() == cause)),
                    "{cause:?}"
                );
            }
        }
    }

    #[test]
    fn no_two_have_the_same_name() {
        for way in [Way::Observed, Way::Carried] {
            let all = || PASSIVE.iter().filter(|truth| truth.way == way);
            let names: BTreeSet<String> = all().map(Passive::name).collect();
            assert_eq!(names.len(), all().count());
        }
    }
}
