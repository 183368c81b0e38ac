// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to tell the network team, and what to do here meanwhile.

use super::{Verdict, conductor::Probed, inference::Finding};
use crate::diagnose::Verdict as Passive;

/// Words on one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Two sentences for whoever runs the network; `None` where it is not theirs.
    pub team: Option<String>,
    /// What helps now, one line each.
    pub here: Vec<String>,
}

/// Words on what was found of a host.
pub fn advise(probed: &Probed, finding: &Finding) -> Advice {
    let host = &probed.host.name;
    let control = &probed.experiment.control;
    let (n, m) = (finding.n, finding.m);
    let addresses = list(finding, "addresses");
    let servers = list(finding, "servers");
    let mut here = Vec::new();
    let accelerate = "gomod-trace run -- go mod download".to_owned();
    let mirror = "gomod-trace run --mirror https://YOUR-MIRROR -- go mod download, with a module mirror that this network lets through; or GOPROXY=https://YOUR-MIRROR,direct"
        .to_owned();
    let team = match finding.verdict {
        Verdict::SniReset | Verdict::SniTimeout | Verdict::SniClosed | Verdict::SniAlert => {
            let what = match finding.verdict {
                Verdict::SniReset => "is reset",
                Verdict::SniTimeout => "vanishes",
                Verdict::SniClosed => "is closed",
                _ => "is answered by a TLS alert",
            };
            if finding
                .evidence
                .get("passes_nevertheless")
                .is_some_and(|list| {
                    list.as_array()
                        .is_some_and(|list| list.iter().any(|arm| arm == "hello.go"))
                })
            {
                here.push(format!(
                    "use Go 1.24 or newer, and not GODEBUG=tlsmlkem=0: its hello to {host} passes"
                ));
            }
            here.push(mirror);
            format!(
                "Every TLS ClientHello whose SNI is {host} {what} ({n} of {m} tries), also when it is sent to {control}'s address, while hellos with the name {control} pass at both addresses. \
                 A rule on this path filters by server name: please allow {host} (TCP 443); Go module downloads need it."
            )
        }
        Verdict::HelloSize => {
            here.push(accelerate);
            here.push(
                "GODEBUG=tlsmlkem=0 go mod download (Go 1.24 or newer: sends the small hello)"
                    .to_owned(),
            );
            here.push("Go 1.23, whose hello is small".to_owned());
            format!(
                "A TLS ClientHello of about 1.5 KB to {host} gets no answer ({n} of {m} tries), while one of 300 bytes with the same name passes. \
                 A device on this path mishandles ClientHellos that do not fit into one segment, as post-quantum key exchange makes them: please update it, or let such hellos through."
            )
        }
        Verdict::HelloSegmentation => {
            here.push(accelerate);
            here.push("GODEBUG=tlsmlkem=0 go mod download (Go 1.24 or newer: its hello then fits into one segment)".to_owned());
            format!(
                "A TLS ClientHello to {host} that comes in two TCP segments fails ({n} of {m} tries), while the same in one passes. \
                 A device on this path does not reassemble TCP before it looks at the ClientHello: please update it, or let such hellos through."
            )
        }
        Verdict::HelloRecord => format!(
            "A TLS ClientHello to {host} that is spread over two TLS records fails ({n} of {m} tries), while the same in one record passes. \
             A device on this path, or the server, does not reassemble TLS records (RFC 8446 section 5.1); Go does not send such hellos, so this alone does not hinder it."
        ),
        Verdict::AlpnH2 => {
            here.push(
                "GODEBUG=http2client=0 go mod download (any Go version: speaks HTTP/1.1)"
                    .to_owned(),
            );
            here.push(accelerate);
            format!(
                "A TLS ClientHello to {host} that offers HTTP/2 by ALPN fails ({n} of {m} tries), while the same without it passes. \
                 A device on this path, or a load balancer in front of the server, mishandles ALPN h2: please let it through or update it."
            )
        }
        Verdict::PostHandshake => {
            here.push(mirror);
            format!(
                "TCP connections to {addresses} ({host}) are accepted, but whatever is sent over them fails ({n} of {m} tries), whichever name it holds, while {control} answers. \
                 A device on this path blocks these addresses after the TCP handshake: please allow them (TCP {}).",
                probed.host.port
            )
        }
        Verdict::SynTimeout | Verdict::SynReset | Verdict::AdminProhibited => {
            let what = match finding.verdict {
                Verdict::SynTimeout => "stay without any answer",
                Verdict::SynReset => "are answered by a reset",
                _ => "are answered by ICMP \"administratively prohibited\"",
            };
            if only_v6(finding) {
                here.push("IPv6 alone is concerned: `go` loses 300 ms a connection; without working IPv6, remove its default route".to_owned());
            } else {
                here.push(mirror);
            }
            format!(
                "TCP SYNs to {addresses} ({host}) {what} ({n} of {m} tries), while {control} accepts connections. \
                 Please allow outgoing TCP {} to these addresses.",
                probed.host.port
            )
        }
        Verdict::Interception => {
            let issuer = text(finding, "issuer");
            here.push("install the issuer's certificate where Go looks for it, if your company runs this interception: SSL_CERT_FILE=FILE go mod download".to_owned());
            here.push(
                "never GONOSUMDB or GOINSECURE instead: they give up what protects the modules"
                    .to_owned(),
            );
            format!(
                "The certificate that {host} shows here is signed by \"{issuer}\", which this machine does not trust ({n} of {m} tries). \
                 If this network inspects TLS, please give this machine the inspection's CA certificate, or exempt {host}; if it does not, somebody else reads this traffic."
            )
        }
        Verdict::VolumeCut => {
            here.push(accelerate);
            format!(
                "Transfers from {host} break off after about {} KB ({n} of {m} tries), while the connection and the request pass. \
                 Please look for a limit of volume or time in a device on this path, or at {host}'s own servers.",
                finding
                    .evidence
                    .get("bytes")
                    .and_then(|bytes| bytes.get(0))
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or(0)
                    / 1024
            )
        }
        Verdict::Throttling => {
            here.push(accelerate);
            format!(
                "Transfers from {host} run at {} bytes a second ({n} of {m} tries). \
                 Please look for a rate limit in a device on this path, or at {host}'s own servers.",
                number(finding, "bytes_per_second")
            )
        }
        Verdict::DnsInconsistent => {
            here.push(format!(
                "take the nameservers that answer otherwise out of /etc/resolv.conf: {servers}"
            ));
            format!(
                "The nameservers that this machine is told to use do not agree on {host}: {servers} give no address, others do ({n} of {m} answers). \
                 Please look at the filter rules and zones of {servers}."
            )
        }
        Verdict::DnsBogon => {
            here.push("put a nameserver without that rule first in /etc/resolv.conf".to_owned());
            format!(
                "For {host}, the nameservers {servers} give {}, addresses that no public host has ({n} of {m} answers). \
                 Please remove the rule that answers so.",
                list(finding, "bogons")
            )
        }
        Verdict::DnsNxdomain => {
            here.push(mirror);
            format!(
                "The nameservers {servers} say that {host} does not exist ({n} of {m} answers), while they resolve {control}. \
                 If the name is right, a rule there hides it: please remove it."
            )
        }
        Verdict::DnsTimeout => {
            here.push(mirror);
            format!(
                "Questions for {host} stay without an answer from {servers} ({n} of {m} tries), while the same servers resolve {control}. \
                 Please look for a rule that drops questions for this name."
            )
        }
        Verdict::Seen(passive) => {
            here.extend(match passive {
                Passive::DnsTimeout | Passive::DnsRefused | Passive::DnsSlow => {
                    Some(format!("put a nameserver that answers first in /etc/resolv.conf: {servers} do not do well"))
                }
                Passive::TunnelRefused if number(finding, "status") == 407 => Some(
                    "give the proxy a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT".to_owned(),
                ),
                Passive::TunnelRefused => Some(mirror),
                Passive::ConnectUnreachable => {
                    Some("look at `ip route get ADDRESS`: this machine or its router has no way there".to_owned())
                }
                _ => Some(accelerate),
            });
            match passive {
                Passive::DnsTimeout => format!(
                    "The nameservers {servers} answer no question at all ({n} of {m} tries). Please repair them, or tell machines to use others."
                ),
                Passive::DnsRefused => format!(
                    "The nameservers {servers} refuse or fail to answer for {host} ({n} of {m} tries). Please look at their logs and rules for this name."
                ),
                Passive::DnsSlow => format!(
                    "The nameserver {servers} takes {} ms to answer for {host} ({n} of {m} tries). Please look at its load and at the servers that it asks.",
                    number(finding, "median_ms")
                ),
                Passive::ConnectUnreachable => format!(
                    "There is no route to {addresses} ({host}) from this machine ({n} of {m} tries). Please look at the routes."
                ),
                Passive::TunnelRefused => format!(
                    "The HTTP proxy {} answers CONNECT {host}:{} with status {} ({n} of {m} tries). Please allow this host there: Go module downloads need it.",
                    text(finding, "through_proxy"),
                    probed.host.port,
                    number(finding, "status")
                ),
                Passive::RequestStalled => format!(
                    "{host} completes the TLS handshake and then leaves requests without an answer ({n} of {m} tries). Please look at proxies on this path; it may be the server itself."
                ),
                _ => format!(
                    "Connections to {host} fail after the ClientHello ({n} of {m} tries), and comparison with {control} does not say by what. It may be the server itself, or a device that looks at name and address together."
                ),
            }
        }
        Verdict::ControlFailed => {
            here.push(if finding.evidence.get("why").is_some() {
                "run the probe again, with more --tries".to_owned()
            } else {
                format!("run the probe again with --control HOST, a host that works from here: {control} fails too")
            });
            return Advice { team: None, here };
        }
        Verdict::Ok => return Advice { team: None, here },
    };
    if let Some(resolver) = first(finding, "resolvers") {
        here.insert(
            0,
            format!("gomod-trace run --dns {resolver} -- go mod download"),
        );
    }
    Advice {
        team: Some(team),
        here,
    }
}

fn only_v6(finding: &Finding) -> bool {
    finding
        .evidence
        .get("addresses")
        .and_then(serde_json::Value::as_array)
        .is_some_and(|list| {
            list.iter()
                .all(|address| address.as_str().is_some_and(|text| text.starts_with('[')))
        })
}

fn list(finding: &Finding, name: &str) -> String {
    let words: Vec<&str> = finding
        .evidence
        .get(name)
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
        .collect();
    words.join(", ")
}

fn first<'a>(finding: &'a Finding, name: &str) -> Option<&'a str> {
    finding.evidence.get(name)?.get(0)?.as_str()
}

fn text<'a>(finding: &'a Finding, name: &str) -> &'a str {
    finding
        .evidence
        .get(name)
        .and_then(serde_json::Value::as_str)
        .unwrap_or("?")
}

fn number(finding: &Finding, name: &str) -> u64 {
    finding
        .evidence
        .get(name)
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0)
}
