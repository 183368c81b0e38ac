// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary's row of what the accelerator did.

use super::units;
use crate::{kernel::events::Source, timeline::RequestSeen};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::events::{Answered, MonotonicNanos, Pid, SocketCookie};

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
