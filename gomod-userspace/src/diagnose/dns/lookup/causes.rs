// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a lookup itself tells of its cause.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;

use super::{Judged, timed_out};
use crate::{
    diagnose::{
        Cause, View,
        cause::Explanation,
        words::{evidence, ms, time},
    },
    timeline::{DnsExchange, DnsOutcome},
};

/// One question that stays without an answer may have got lost by chance; two of them, and no answer at all, hardly.
const MORE_THAN_CHANCE: usize = 2;

impl Judged<'_> {
    /// Why questions stayed without an answer, if the lookup's other questions tell.
    pub(super) fn cause_of_silence(&self, view: View<'_>) -> Option<Explanation> {
        let unanswered: Vec<&DnsExchange> = self
            .questions
            .iter()
            .filter(|exchange| timed_out(view, exchange, self.ended))
            .copied()
            .collect();
        self.lost(&unanswered)
            .or_else(|| self.silent_server(&unanswered))
            .or_else(|| self.no_aaaa(&unanswered))
    }

    /// Each question that was not answered was asked again, and the same server answered.
    fn lost(&self, unanswered: &[&DnsExchange]) -> Option<Explanation> {
        let answered_later = |question: &DnsExchange| {
            self.all_answers().find(|(answer, _)| {
                answer.qtype == question.qtype && answer.server == question.server
            })
        };
        let last = unanswered
            .iter()
            .map(|question| answered_later(question))
            .collect::<Option<Vec<_>>>()?
            .pop()?;
        let (answer, latency) = last;
        Some(Explanation {
            cause: Cause::LostAnswers,
            because: format!(
                "the same nameserver answered the {} question within {} when it was asked again, so a packet got lost",
                answer.qtype,
                time(latency),
            ),
            action: format!(
                "Ask the network team for lost UDP packets on the way to the nameserver {}; each one costs 5 s.",
                answer.server
            ),
            evidence: evidence(json!({"answered_again_ms": ms(latency)})),
        })
    }

    /// One server answers nothing of this lookup, another one all of it.
    fn silent_server(&self, unanswered: &[&DnsExchange]) -> Option<Explanation> {
        let server = unanswered.first()?.server;
        let (other, latency) = self.answers().find(|(answer, _)| answer.server != server)?;
        let silent = unanswered.len() >= MORE_THAN_CHANCE
            && unanswered.iter().all(|question| question.server == server)
            && !self.answers().any(|(answer, _)| answer.server == server);
        silent.then(|| Explanation {
            cause: Cause::SilentNameserver,
            because: format!(
                "the nameserver {} answered the same within {}, so it is {server} that is silent",
                other.server,
                time(latency),
            ),
            action: format!(
                "Take the nameserver {server} out of /etc/resolv.conf, or have it mended; it is asked first, and each time for 5 s in vain."
            ),
            evidence: evidence(json!({
                "silent_server": server.to_string(),
                "answering_server": other.server.to_string(),
            })),
        })
    }

    /// A is answered, AAAA is not, however often it is asked for.
    fn no_aaaa(&self, unanswered: &[&DnsExchange]) -> Option<Explanation> {
        let server: SocketAddr = unanswered.first()?.server;
        let (answer, _) = self
            .answers()
            .find(|(answer, _)| answer.qtype == "A" && answer.server == server)?;
        let fits = unanswered.len() >= MORE_THAN_CHANCE
            && unanswered.iter().all(|question| question.qtype == "AAAA")
            && !self.answers().any(|(answer, _)| answer.qtype == "AAAA");
        fits.then(|| Explanation {
            cause: Cause::UnansweredAaaa,
            because: format!(
                "{} answers questions for A and left {} for AAAA unanswered, so something drops those",
                answer.server,
                unanswered.len(),
            ),
            action: format!(
                "Ask whoever runs the nameserver {server} why questions for AAAA are dropped: an empty answer would do, and silence costs 10 s."
            ),
            evidence: evidence(json!({"silent_server": server.to_string()})),
        })
    }

    /// The answers that count, and how long each took.
    fn answers(&self) -> impl Iterator<Item = (&DnsExchange, Duration)> {
        self.all_answers()
            .filter(|(exchange, _)| exchange.outcome.is_final())
    }

    /// All that came back, refusals as well.
    fn all_answers(&self) -> impl Iterator<Item = (&DnsExchange, Duration)> {
        self.questions.iter().filter_map(|exchange| {
            let DnsOutcome::Answered { at, .. } = exchange.outcome else {
                return None;
            };
            Some((*exchange, at.since(exchange.sent)))
        })
    }
}
