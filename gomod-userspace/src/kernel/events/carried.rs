// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the accelerator did with connections and requests of the run.

use serde::{Deserialize, Serialize};

use super::{MonotonicNanos, SocketCookie};

/// How a connection goes to its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// As the process sent it.
    #[default]
    Direct,
    /// Its requests are answered by us.
    Accelerated,
    /// Copied by us, byte for byte.
    Spliced,
}

/// Where the answer to a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Kept from an earlier run.
    Store,
    /// Fetched before it was asked for, and complete by then.
    Prefetch,
    /// It was being fetched when it was asked for.
    Joined,
    /// Fetched for this request.
    Upstream,
}

/// A request of a process, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The socket of the process.
    pub cookie: SocketCookie,
    /// The module host.
    pub host: String,
    /// Path and query, as they came.
    pub path: String,
    /// HTTP status of the answer; unknown if the client went away before.
    pub status: Option<u16>,
    /// Body bytes handed to the client.
    pub bytes: u64,
    /// Where the answer came from.
    pub source: Source,
    /// Requests sent upstream for it.
    pub attempts: u32,
    /// Times a broken body was continued.
    pub resumed: u32,
    /// Bytes that had come by then and were not fetched again.
    #[serde(default)]
    pub resumed_bytes: u64,
    /// When it came in.
    pub began: MonotonicNanos,
    /// When the head of the answer was there.
    pub first_byte: Option<MonotonicNanos>,
    /// The answer was whole.
    pub whole: bool,
}

/// What the accelerator has fetched before it was asked for, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedAhead {
    /// Files whose fetch was begun.
    pub files: u64,
    /// Bytes of them that came.
    pub bytes: u64,
    /// Files that were asked for since.
    pub used: u64,
    /// Files of which something came that nobody has asked for yet.
    pub unused: u64,
    /// The bytes of those.
    pub unused_bytes: u64,
}
