// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults of the lab, and the verdicts that are right for them.

/// What is wrong in a lab, and what must be said of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    pub(super) faults: &'static [&'static str],
    pub(super) verdicts: &'static [&'static str],
    pub(super) nameservers: u8,
    /// It is about a file's body: the probe is told of one that the lab serves.
    pub(super) transfers: bool,
}

impl Truth {
    pub(super) fn name(&self) -> String {
        if self.faults.is_empty() {
            "none".to_owned()
        } else {
            self.faults.join(" + ")
        }
    }
}

const fn truth(faults: &'static [&'static str], verdicts: &'static [&'static str]) -> Truth {
    Truth {
        faults,
        verdicts,
        nameservers: 1,
        transfers: false,
    }
}

const fn two_nameservers(truth: Truth) -> Truth {
    Truth {
        nameservers: 2,
        ..truth
    }
}

const fn transfer(truth: Truth) -> Truth {
    Truth {
        transfers: true,
        ..truth
    }
}

pub(super) const TRUTHS: &[Truth] = &[
    truth(&[], &["ok"]),
    truth(&["sni-reset"], &["interference.sni.reset"]),
    truth(&["sni-drop"], &["interference.sni.timeout"]),
    truth(&["tls-close"], &["interference.sni.closed"]),
    truth(&["tls-alert"], &["interference.sni.alert"]),
    truth(&["large-hello-drop"], &["interference.clienthello.size"]),
    truth(
        &["large-hello-drop,host=*"],
        &["interference.clienthello.size"],
    ),
    truth(&["h2-hello-silence"], &["interference.alpn.h2"]),
    truth(&["untrusted-certificate"], &["interception.tls"]),
    truth(&["syn-drop"], &["interference.tcp.syn_timeout"]),
    truth(&["syn-drop,family=v6"], &["interference.tcp.syn_timeout"]),
    truth(&["connect-refused"], &["interference.tcp.syn_reset"]),
    truth(&["host-unreachable"], &["anomaly.connect.unreachable"]),
    truth(&["no-route"], &["anomaly.connect.unreachable"]),
    truth(
        &["dns-drop,host=proxy.golang.org"],
        &["interference.dns.timeout"],
    ),
    truth(
        &["dns-nxdomain,host=proxy.golang.org"],
        &["interference.dns.nxdomain"],
    ),
    truth(
        &["dns-refused,host=proxy.golang.org"],
        &["anomaly.dns.refused"],
    ),
    truth(
        &["dns-servfail,host=proxy.golang.org"],
        &["anomaly.dns.refused"],
    ),
    truth(
        &["dns-lame,host=proxy.golang.org"],
        &["anomaly.dns.refused"],
    ),
    truth(&["dns-truncated"], &["ok"]),
    truth(&["dns-delay=2s"], &["anomaly.dns.slow"]),
    truth(&["dns-drop"], &["inconclusive.control_failed"]),
    truth(&["sni-reset,host=*"], &["inconclusive.control_failed"]),
    two_nameservers(truth(
        &["dns-nxdomain,host=proxy.golang.org,server=2"],
        &["interference.dns.inconsistent"],
    )),
    truth(&["silence"], &["anomaly.request.stalled"]),
    transfer(truth(&["body-cut=30%"], &["interference.volume_cut"])),
    transfer(truth(&["body-reset=30%"], &["interference.volume_cut"])),
    transfer(truth(&["body-stop=30%"], &["interference.volume_cut"])),
    transfer(truth(&["body-slow=2000"], &["interference.throttling"])),
    truth(
        &["sni-reset", "dns-delay=2s"],
        &["interference.sni.reset", "anomaly.dns.slow"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_one_of_the_labs() {
        for fault in TRUTHS.iter().flat_map(|truth| truth.faults) {
            fault.parse::<gomod_lab::Fault>().unwrap();
        }
    }
}
