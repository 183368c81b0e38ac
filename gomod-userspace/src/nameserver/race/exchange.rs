// SPDX-License-Identifier: MIT OR Apache-2.0
//! A question on its way in a race, and what becomes of it when the race is over.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;

use super::super::answer::Answer;
use super::super::question::Question;
use super::super::server::{Asker, Server};

/// How long after a race an answer is listened for: the longest that a server is waited for before another is asked.
const LATE: Duration = Duration::from_secs(1);

/// A question to be sent.
pub(super) struct Ask {
    pub(super) runner: usize,
    pub(super) server: Arc<Server>,
    pub(super) attempt: u32,
}

/// A question on its way. Gives who was asked, and what was said.
pub(super) struct Exchange {
    runner: usize,
    said: BoxFuture<'static, io::Result<Answer>>,
}

impl Exchange {
    pub(super) fn begin(ask: Ask, question: Arc<Question>, asker: Arc<Asker>) -> Self {
        Self {
            runner: ask.runner,
            said: async move { ask.server.ask(&question, &asker, ask.attempt).await }.boxed(),
        }
    }
}

impl Future for Exchange {
    type Output = (usize, io::Result<Answer>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let runner = self.runner;
        self.said.poll_unpin(context).map(|said| (runner, said))
    }
}

/// Listens for what the others say after `winner` has decided the race. Nobody waits for it, but it tells a slow server
/// from a dead one, and how slow it is; a first server that is far would else be outrun each time, and taken for dead.
pub(super) fn hear_out(running: FuturesUnordered<Exchange>, winner: usize) {
    let others = running
        .into_iter()
        .filter(|exchange| exchange.runner != winner)
        .collect::<FuturesUnordered<_>>();
    if !others.is_empty() {
        tokio::spawn(timeout(LATE, others.for_each(|_| ready(()))));
    }
}
