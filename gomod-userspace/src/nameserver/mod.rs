// SPDX-License-Identifier: MIT OR Apache-2.0
//! A DNS stub with a warm cache: answers the queries of traced processes in the name of the nameserver that they ask.
//!
//! Each nameserver has an [`Endpoint`] on the loopback device; which endpoint a query arrives at says which server was
//! asked. A plain [`question`] is answered by what is kept, by a question that is on its way already, or by asking the
//! nameservers of the client's list; anything else goes to the server asked as it is, and so does its answer. An
//! [`answer`] is kept in its own bytes: a client gets them with its number, its way to write the name, and TTLs that
//! have counted down. Nothing is ever answered that no nameserver said: while all are silent, so is the stub, but for
//! answers that expired within the last 30 seconds. What was done is [`Told`].

pub mod answer;
mod ask;
mod cache;
pub mod dns_server;
mod endpoint;
mod exchange;
mod health;
pub mod names;
mod prewarm;
pub mod question;
mod race;
pub mod resolv_conf;
mod resolver;
mod server;
mod serving;
pub mod stub;
mod telling;
pub mod told;

#[cfg(test)]
mod tests;

pub use ask::{Reply, address_question, answer_to, ask, ask_encrypted};
pub use dns_server::{DnsServer, InvalidDnsServer, NotEncrypted};
pub use exchange::{NoAddress, UnexpectedStatus};
pub use names::{LookupError, Names, Statistics};
pub use resolv_conf::ResolvConf;
pub use serving::Serving;
pub use stub::{Endpoint, Stub, StubError, StubOptions, runtime};
pub use telling::Account;
pub use told::{
    AnswerSource, Answered, ClientTransport, ExchangeOutcome, Exchanged, Told, UpstreamTransport,
};
