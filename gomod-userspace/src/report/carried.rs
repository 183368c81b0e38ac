// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the summary says of what the accelerator and the DNS stub did.

use std::time::Duration;

use super::units;
use crate::{
    kernel::events::{NameSource, Source},
    timeline::{DnsExchange, DnsOutcome, RequestSeen},
};

/// Requests by where their answers came from, and what it took. `None` if none was carried.
pub(super) fn carried(requests: &[RequestSeen]) -> Option<String> {
    if requests.is_empty() {
        return None;
    }
    let of = |source| {
        requests
            .iter()
            .filter(|request| request.answered.source == source)
            .count()
    };
    let mut parts = vec![units::counted(requests.len(), "request", "requests")];
    for (source, words) in [
        (Source::Prefetch, "fetched ahead"),
        (Source::Joined, "joined in flight"),
        (Source::Upstream, "fetched when asked for"),
    ] {
        let count = of(source);
        if count > 0 {
            parts.push(format!("{} {words}", units::number(count as u64)));
        }
    }
    let sum = |number: fn(&RequestSeen) -> u32| requests.iter().map(number).sum::<u32>();
    let retries = sum(|request| request.answered.attempts.saturating_sub(1));
    let resumed = sum(|request| request.answered.resumed);
    let failed = requests
        .iter()
        .filter(|request| !request.answered.whole)
        .count();
    for (count, one, many) in [
        (retries as usize, "retry", "retries"),
        (resumed as usize, "body continued", "bodies continued"),
        (failed, "not completed", "not completed"),
    ] {
        if count > 0 {
            parts.push(units::counted(count, one, many));
        }
    }
    Some(parts.join(", "))
}

/// How long processes waited for names that the stub answered, and how long the network took for them. `None` if it
/// answered none.
pub(super) fn names(exchanges: &[DnsExchange]) -> Option<String> {
    let mut waited = Duration::ZERO;
    let mut network = Duration::ZERO;
    let mut known = 0;
    let mut stale = 0;
    let mut any = false;
    for exchange in exchanges {
        let (Some(stub), DnsOutcome::Answered { at, .. }) = (exchange.stub, &exchange.outcome)
        else {
            continue;
        };
        any = true;
        waited += at.since(exchange.sent);
        network += stub.fetched_in;
        match stub.source {
            NameSource::Network => {}
            NameSource::Cache | NameSource::Prewarmed => known += 1,
            NameSource::Stale => stale += 1,
        }
    }
    if !any {
        return None;
    }
    let mut text = format!(
        "answers took {} in all, the network {}",
        units::duration(waited),
        units::duration(network)
    );
    for (count, words) in [
        (known, "known before they were asked for"),
        (stale, "expired, as no nameserver answered"),
    ] {
        if count > 0 {
            text = format!("{text}; {} {words}", units::number(count));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::events::{Answered, MonotonicNanos, Pid, SocketCookie},
        report::tests::run,
        timeline::StubAnswer,
    };

    #[test]
    fn what_names_took_is_compared_with_what_the_network_took() {
        let mut timeline = run::timeline();
        assert_eq!(
            names(&timeline.dns),
            None,
            "the nameserver itself was asked"
        );
        timeline.dns[0].stub = Some(StubAnswer {
            source: NameSource::Prewarmed,
            fetched_in: Duration::from_millis(1_400),
        });
        // Without an answer, nobody knows what it would have taken.
        timeline.dns[1].stub = timeline.dns[0].stub;
        assert_eq!(
            names(&timeline.dns).unwrap(),
            "answers took 23 ms in all, the network 1.4 s; 1 known before they were asked for"
        );
    }

    fn request(source: Source, attempts: u32, resumed: u32, whole: bool) -> RequestSeen {
        RequestSeen {
            pid: Pid(1),
            done: MonotonicNanos(2),
            answered: Answered {
                cookie: SocketCookie(1),
                host: "proxy.golang.org".into(),
                path: "/m/@v/list".into(),
                status: Some(200),
                bytes: 1,
                source,
                attempts,
                resumed,
                began: MonotonicNanos(1),
                first_byte: None,
                whole,
            },
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_was_carried() {
        assert_eq!(carried(&[]), None);
    }

    #[test]
    fn sources_and_troubles_are_counted() {
        let requests = [
            request(Source::Prefetch, 1, 0, true),
            request(Source::Prefetch, 3, 1, true),
            request(Source::Joined, 1, 0, true),
            request(Source::Upstream, 1, 0, false),
        ];
        assert_eq!(
            carried(&requests).unwrap(),
            "4 requests, 2 fetched ahead, 1 joined in flight, 1 fetched when asked for, 2 retries, \
             1 body continued, 1 not completed"
        );
    }
}
