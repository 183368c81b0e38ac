// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the stub tells, as events.

use crate::{
    kernel::events::{Event, EventKind, NameAnswered, NameAsked, NameReply, NameSource, Pid},
    nameserver::{AnswerSource, Answered, ExchangeOutcome, Exchanged, Told},
};

/// The event; `None` for a question that nobody could read.
pub(super) fn event(told: Told) -> Option<Event> {
    match told {
        Told::Answered(answered) => (!answered.name.is_empty()).then(|| answer(answered)),
        Told::Exchanged(exchanged) => (!exchanged.name.is_empty()).then(|| exchange(exchanged)),
    }
}

fn answer(answered: Answered) -> Event {
    Event {
        at: answered.answered_at,
        // The socket tells whose it is.
        pid: Pid(0),
        kind: EventKind::NameAnswered(NameAnswered {
            client: answered.client,
            server: answered.server,
            id: answered.id,
            name: answered.name,
            qtype: answered.qtype,
            source: match answered.source {
                AnswerSource::Network => NameSource::Network,
                AnswerSource::Cache => NameSource::Cache,
                AnswerSource::Prewarmed => NameSource::Prewarmed,
                AnswerSource::Stale => NameSource::Stale,
            },
            fetched_in: answered.fetched_in,
        }),
    }
}

fn exchange(exchanged: Exchanged) -> Event {
    Event {
        at: exchanged.sent_at,
        pid: Pid(0),
        kind: EventKind::NameAsked(NameAsked {
            server: exchanged.server,
            name: exchanged.name,
            qtype: exchanged.qtype,
            attempt: exchanged.attempt,
            reply: match exchanged.outcome {
                ExchangeOutcome::Answered { latency, rcode } => {
                    NameReply::Answered { latency, rcode }
                }
                ExchangeOutcome::Silent { waited, given_up } => {
                    NameReply::Silent { waited, given_up }
                }
                ExchangeOutcome::Failed { after, error } => NameReply::Failed { after, error },
            },
        }),
    }
}
