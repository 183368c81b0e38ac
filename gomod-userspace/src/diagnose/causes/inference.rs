// SPDX-License-Identifier: MIT OR Apache-2.0
//! From trials of one host to the one point in which those that fail differ from those that pass.

use std::time::Duration;

use serde_json::json;

use super::trial::{Form, Result, Trial, Whose};
use crate::{
    diagnose::{
        Cause, Evidence,
        cause::Explanation,
        words::{evidence, time},
    },
    kernel::events::MonotonicNanos,
};

/// What may be at fault in a trial that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Suspect {
    /// More than one segment.
    Size,
    /// h2 in the ALPN.
    H2,
    /// This address.
    Address,
    /// IPv6, whichever address.
    Ipv6,
}

impl Suspect {
    /// Whether `trial` has in common with `failed` what is suspected.
    fn is_in(self, trial: &Trial, failed: &Trial) -> bool {
        let form = trial.hello.as_ref();
        match self {
            Self::Size => form.is_some_and(Form::large),
            Self::H2 => form.is_some_and(Form::h2),
            Self::Address => trial.remote.ip() == failed.remote.ip(),
            Self::Ipv6 => trial.remote.ip().to_canonical().is_ipv6(),
        }
    }
}

/// The suspects that all trials leave: what passed had none of them, and whatever failed had them.
fn left(
    suspects: &[Suspect],
    failed: &Trial,
    others: &[&Trial],
    passed: impl Fn(&Trial) -> bool,
) -> Vec<Suspect> {
    suspects
        .iter()
        .filter(|suspect| suspect.is_in(failed, failed))
        .filter(|suspect| {
            others
                .iter()
                .all(|other| suspect.is_in(other, failed) != passed(other))
        })
        .copied()
        .collect()
}

/// Why a connection did not come about.
pub(super) fn of_connect(
    failed: &Trial,
    trials: &[Trial],
    began: MonotonicNanos,
) -> Option<Explanation> {
    let same: Vec<&Trial> = of_host(failed, trials).collect();
    let witness = same.iter().find(|trial| trial.connected())?;
    let family = left(&[Suspect::Ipv6], failed, &same, Trial::connected);
    // A second address that fails as well does not acquit this one.
    let address = !same
        .iter()
        .any(|trial| trial.connected() && trial.remote.ip() == failed.remote.ip());
    let cause = match family.first() {
        Some(_) => Cause::Ipv6BlackHole,
        None if address => Cause::DeadAddress,
        None => return None,
    };
    Some(explain(cause, failed, witness, began))
}

/// Why a `ClientHello` got no proper answer.
pub(super) fn of_hello(
    failed: &Trial,
    trials: &[Trial],
    began: MonotonicNanos,
) -> Option<Explanation> {
    let same: Vec<&Trial> = of_host(failed, trials)
        .filter(|trial| trial.hello.is_some())
        .collect();
    let Some(witness) = same.iter().rev().find(|trial| trial.passed()) else {
        return server_name(failed, &same, trials, began);
    };
    // In a tunnel, the address is the proxy's: the host's own is not known.
    let all: &[Suspect] = match failed.proxy {
        Some(_) => &[Suspect::Size, Suspect::H2],
        None => &[Suspect::Size, Suspect::H2, Suspect::Address, Suspect::Ipv6],
    };
    let suspects = left(all, failed, &same, Trial::passed);
    let cause = match suspects.as_slice() {
        [Suspect::Size] => Cause::ClientHelloSize,
        [Suspect::H2] => Cause::AlpnH2,
        [Suspect::Size, Suspect::H2] => Cause::ClientHelloForm,
        [Suspect::Address] => Cause::DeadAddress,
        [Suspect::Ipv6] | [Suspect::Address, Suspect::Ipv6] => Cause::Ipv6BlackHole,
        _ => return None,
    };
    Some(explain(cause, failed, witness, began))
}

/// All forms fail with this name, one of them on the path, and another name passes.
fn server_name(
    failed: &Trial,
    same: &[&Trial],
    trials: &[Trial],
    began: MonotonicNanos,
) -> Option<Explanation> {
    let forms = || same.iter().filter_map(|trial| trial.hello.as_ref());
    let small = forms().any(|form| !form.large());
    let without_h2 = forms().any(|form| !form.h2());
    let on_path = same
        .iter()
        .any(|trial| trial.result == Result::NoAnswer { on_path: true });
    // Another name passes over IPv4 or IPv6, whichever this one fails over: that is not at fault.
    let is_ipv6 = |trial: &Trial| trial.remote.ip().to_canonical().is_ipv6();
    let witness = trials
        .iter()
        .filter(|trial| trial.host != failed.host && trial.proxy == failed.proxy)
        .filter(|trial| trial.hello.is_some() && trial.passed())
        .find(|trial| same.iter().any(|other| is_ipv6(other) == is_ipv6(trial)))?;
    (small && without_h2 && on_path).then(|| explain(Cause::ServerName, failed, witness, began))
}

/// Those of the same host by the same way.
fn of_host<'a>(failed: &'a Trial, trials: &'a [Trial]) -> impl Iterator<Item = &'a Trial> {
    trials.iter().filter(|trial| {
        trial.host == failed.host
            && trial.proxy == failed.proxy
            && trial.remote.port() == failed.remote.port()
    })
}

fn explain(cause: Cause, failed: &Trial, witness: &Trial, began: MonotonicNanos) -> Explanation {
    Explanation {
        cause,
        because: because(cause, failed, witness),
        action: action(cause, failed),
        evidence: compared(failed, witness, began),
    }
}

/// The trial that passed, beside the numbers of the one that failed.
fn compared(failed: &Trial, witness: &Trial, began: MonotonicNanos) -> Evidence {
    let form = witness.hello.as_ref();
    let mut compared = evidence(json!({
        "passed_remote": witness.remote.to_string(),
        "passed_by": match witness.whose {
            Whose::Process(_) => "the command",
            Whose::Ours => "gomod-trace",
        },
        "passed_ms": milliseconds(witness.at.since(began)),
        "passed_client_hello_bytes": form.map(|form| form.bytes),
        "passed_alpn": form.map(|form| form.alpn.clone()),
    }));
    if witness.host != failed.host {
        compared.insert("passed_host".to_owned(), json!(witness.host));
    }
    compared
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn because(cause: Cause, failed: &Trial, witness: &Trial) -> String {
    let whose = match witness.whose {
        Whose::Process(_) => "one",
        Whose::Ours => "our own",
    };
    let bytes = witness.hello.as_ref().map_or(0, |form| form.bytes);
    let (address, other) = (failed.remote.ip(), witness.remote.ip());
    let when = if witness.at >= failed.at {
        format!("{} later", time(witness.at.since(failed.at)))
    } else {
        format!("{} before", time(failed.at.since(witness.at)))
    };
    match cause {
        Cause::ClientHelloSize => format!(
            "{whose} of {bytes} bytes with the same name passed {when}, so it is not the name: something takes a ClientHello of more than one segment for damaged"
        ),
        Cause::AlpnH2 => format!(
            "{whose} without h2 passed {when}, so it is not the name: offering HTTP/2 is what fails"
        ),
        Cause::ClientHelloForm => format!(
            "{whose} of {bytes} bytes without h2 passed {when}, so it is not the name: the size of the ClientHello is at fault, or that it offers h2"
        ),
        Cause::ServerName => format!(
            "small and large ones fail alike, with h2 and without, while one for {} passed {when}, so something on the path looks at the name, or at the address",
            witness.host
        ),
        Cause::Ipv6BlackHole => format!(
            "{other} of the same host answered {when}, and nothing over IPv6 did, so IPv6 leads nowhere here"
        ),
        _ => format!("{other} of the same host answered {when}, so it is the address {address}"),
    }
}

fn action(cause: Cause, failed: &Trial) -> String {
    let (host, address) = (&failed.host, failed.remote.ip());
    match cause {
        Cause::ClientHelloSize => format!(
            "Set GODEBUG=tlsmlkem=0 (Go 1.24 or newer), and ask the network team which device drops a ClientHello to {host} that is longer than one segment."
        ),
        Cause::AlpnH2 => format!(
            "Set GODEBUG=http2client=0, and ask the network team which device on the way to {host} mishandles a ClientHello that offers h2."
        ),
        Cause::ClientHelloForm => format!(
            "Set GODEBUG=tlsmlkem=0,http2client=0, and ask the network team which device on the way to {host} drops a ClientHello that is large, or offers h2."
        ),
        Cause::ServerName => format!(
            "Ask the network team to allow the server name {host}; until then set GOPROXY to a mirror that passes."
        ),
        Cause::Ipv6BlackHole => format!(
            "Have IPv6 to {address} mended, or switched off on this machine; over IPv4 {host} answers."
        ),
        _ => format!(
            "Tell whoever publishes {host} that its address {address} is dead; leave that one out where the name is served by your own nameserver."
        ),
    }
}
