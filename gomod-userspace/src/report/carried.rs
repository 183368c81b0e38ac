// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the summary says of what the accelerator and the DNS stub did.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use super::{text::printable, units};
use crate::{
    kernel::events::{FetchedAhead, NameSource, Source, Way},
    timeline::{Connection, DnsExchange, DnsOutcome, RequestSeen},
};

/// Reasons beyond this many are counted only; the report has them all.
const REASONS: usize = 4;

/// Requests by where their answers came from, and what it took. `None` if none was carried.
pub(super) fn carried(requests: &[RequestSeen], ahead: Option<FetchedAhead>) -> Option<String> {
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
        (Source::Store, "from the store"),
        (Source::Prefetch, "fetched ahead"),
        (Source::Joined, "joined in flight"),
        (Source::Upstream, "fetched when asked for"),
    ] {
        let count = of(source);
        if count > 0 {
            parts.push(format!("{} {words}", units::number(count as u64)));
        }
    }
    let hits = requests.len() - of(Source::Upstream);
    parts.push(format!("hit rate {} %", 100 * hits / requests.len()));
    let sum = |number: fn(&RequestSeen) -> u32| requests.iter().map(number).sum::<u32>();
    let retries = sum(|request| request.answered.attempts.saturating_sub(1));
    let resumed = sum(|request| request.answered.resumed);
    let resumed_bytes = requests
        .iter()
        .map(|request| request.answered.resumed_bytes)
        .sum::<u64>();
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
    if resumed_bytes > 0 {
        let kept = units::bytes(resumed_bytes);
        parts.push(format!("{kept} not fetched again"));
    }
    if let Some(ahead) = ahead.filter(|ahead| ahead.unused > 0) {
        parts.push(format!(
            "{} ({}) fetched ahead in vain",
            units::counted(ahead.unused as usize, "file", "files"),
            units::bytes(ahead.unused_bytes)
        ));
    }
    Some(parts.join(", "))
}

/// How connections went to their hosts, and why they were not carried where they passed through us. `None` if all went
/// direct, as they do in a run that only observes.
pub(super) fn ways(connections: &[Connection]) -> Option<String> {
    let of = |way| connections.iter().filter(move |one| one.way == way);
    let count = |way| units::number(of(way).count() as u64);
    if of(Way::Direct).count() == connections.len() {
        return None;
    }
    let mut parts = Vec::new();
    if of(Way::Accelerated).next().is_some() {
        parts.push(format!("{} carried", count(Way::Accelerated)));
    }
    let mut reasons: BTreeMap<(&str, Cow<'_, str>), usize> = BTreeMap::new();
    for connection in of(Way::Spliced) {
        let why = connection.why.as_deref().unwrap_or_default();
        let host = match &connection.host {
            Some(host) => printable(host),
            None => connection.remote.ip().to_string().into(),
        };
        *reasons.entry((why, host)).or_default() += 1;
    }
    if !reasons.is_empty() {
        let whose = reasons
            .iter()
            .take(REASONS)
            .map(|((why, host), _)| format!("{host}: {why}"));
        let mut whose = whose.collect::<Vec<_>>();
        if reasons.len() > REASONS {
            whose.push(format!("and {} more", reasons.len() - REASONS));
        }
        let count = count(Way::Spliced);
        parts.push(format!("{count} spliced ({})", whose.join("; ")));
    }
    if of(Way::Direct).next().is_some() {
        parts.push(format!("{} direct", count(Way::Direct)));
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
                resumed_bytes: 1_500 * u64::from(resumed),
                began: MonotonicNanos(1),
                first_byte: None,
                whole,
            },
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_was_carried() {
        assert_eq!(carried(&[], Some(FetchedAhead::default())), None);
    }

    #[test]
    fn sources_and_troubles_are_counted() {
        let requests = [
            request(Source::Prefetch, 1, 0, true),
            request(Source::Prefetch, 3, 1, true),
            request(Source::Joined, 1, 0, true),
            request(Source::Store, 0, 0, true),
            request(Source::Upstream, 1, 0, false),
        ];
        let told = "5 requests, 1 from the store, 2 fetched ahead, 1 joined in flight, 1 fetched when asked for, \
                    hit rate 80 %, 2 retries, 1 body continued, 1 not completed, 1.5 KiB not fetched again";
        assert_eq!(carried(&requests, None).unwrap(), told);
        let mut ahead = FetchedAhead {
            files: 4,
            bytes: 5_000,
            used: 3,
            ..FetchedAhead::default()
        };
        assert_eq!(carried(&requests, Some(ahead)).unwrap(), told);
        (ahead.unused, ahead.unused_bytes) = (1, 2_048);
        assert_eq!(
            carried(&requests, Some(ahead)).unwrap(),
            format!("{told}, 1 file (2.0 KiB) fetched ahead in vain")
        );
    }

    #[test]
    fn the_way_of_connections_is_told_where_one_did_not_go_direct() {
        let mut timeline = run::timeline();
        assert_eq!(ways(&timeline.connections), None);
        let mut template = timeline.connections.remove(0);
        template.host = Some("proxy.golang.org".to_owned());
        let mut connections = Vec::new();
        for (way, host, why) in [
            (Way::Accelerated, "proxy.golang.org", Some("module host")),
            (Way::Spliced, "git.example.org", Some("not a module host")),
            (Way::Spliced, "git.example.org", Some("not a module host")),
            (Way::Direct, "git.example.org", None),
        ] {
            let mut connection = template.clone();
            connection.way = way;
            connection.host = Some(host.to_owned());
            connection.why = why.map(str::to_owned);
            connections.push(connection);
        }
        assert_eq!(
            ways(&connections).unwrap(),
            "1 carried, 2 spliced (git.example.org: not a module host), 1 direct"
        );
        for (index, connection) in connections.iter_mut().enumerate() {
            connection.way = Way::Spliced;
            connection.host = Some(format!("{index}.example.org"));
            connection.why = Some("no SNI".to_owned());
        }
        connections.extend(connections.clone().into_iter().map(|mut connection| {
            connection.why = Some("not TLS".to_owned());
            connection
        }));
        assert!(ways(&connections).unwrap().ends_with("; and 4 more)"));
    }
}
