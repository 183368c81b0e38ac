// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the DNS stub did, told like everything else that happens.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// Where the answer to a question came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameSource {
    /// A nameserver, while the process waited.
    #[default]
    Network,
    /// An earlier answer that still holds.
    Cache,
    /// The same, fetched before anybody asked.
    Prewarmed,
    /// An expired answer, as all nameservers were silent.
    Stale,
}

/// The stub's answer to a question of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameAnswered {
    /// The process's end.
    pub client: SocketAddr,
    /// The nameserver that it asked.
    pub server: SocketAddr,
    /// Message id.
    pub id: u16,
    /// Name, lower case, without the final dot.
    pub name: String,
    /// "A", "AAAA", …
    pub qtype: String,
    /// Where the answer came from.
    pub source: NameSource,
    /// What the network took to give it.
    pub fetched_in: Duration,
}

/// A question of the stub to a nameserver, and what became of it. The event's time is when it was sent; it is told when
/// it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameAsked {
    /// The nameserver: an address and port, or a URL.
    pub server: String,
    /// Name, lower case, without the final dot.
    pub name: String,
    /// "A", "AAAA", …
    pub qtype: String,
    /// The how many-th question for this answer, to whichever nameserver; from 1.
    pub attempt: u32,
    /// What became of it.
    pub reply: NameReply,
}

/// What became of a question to a nameserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameReply {
    /// It answered.
    Answered {
        /// From question to answer.
        latency: Duration,
        /// Response code as IANA writes it.
        rcode: String,
    },
    /// It did not answer.
    Silent {
        /// How long it was waited for.
        waited: Duration,
        /// Nothing was waited for any longer; else another nameserver was quicker.
        given_up: bool,
    },
    /// The question did not get there, or was turned down.
    Failed {
        /// From question to failure.
        after: Duration,
        /// Why, in plain words.
        error: String,
    },
}

impl NameReply {
    /// From the question to what became of it.
    pub fn after(&self) -> Duration {
        match self {
            Self::Answered { latency: after, .. }
            | Self::Silent { waited: after, .. }
            | Self::Failed { after, .. } => *after,
        }
    }
}
