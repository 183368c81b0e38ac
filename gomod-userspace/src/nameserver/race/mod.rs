// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nameservers raced for one answer, in the order of the client's list: the first, the next as soon as nearly all
//! answers of the first would have come, and again, until one answers or the client has gone away.
//!
//! The order is the administrator's: the first server may know names that the others don't. resolv.conf(5) has them
//! tried in it. Go (`tryOneName` in `net/dnsclient_unix.go`) and glibc (`send_dg` in `resolv/res_send.c`) go on to the
//! next server after silence, SERVFAIL, REFUSED or a lame referral only: what the first one says is final, also that there
//! is no such name (NXDOMAIN) or nothing of this type (NODATA). They grant it 5 s, we what its own answers have taken so
//! far. So we may ask the next one although the first is only slow, or a packet got lost. Then
//!
//! - what there is, is final, whoever says it: so it would be if the first one's silence went on;
//! - that there is nothing is final once all servers listed before the one who says it have failed in this race or can't be
//!   reached. Until then it is *held*: they are asked again, and it counts if they stay silent; one that is known to be dead
//!   for as long as its answers usually took.

mod exchange;
mod outcome;
mod runner;
mod state;
#[cfg(test)]
mod tests;

pub(super) use outcome::{Outcome, Standing};

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use self::exchange::{Ask, Exchange, hear_out};
use self::outcome::Said;
use self::state::Race;
use super::answer::Worth;
use super::question::Question;
use super::server::{Asker, Group};

/// The servers of `group` are asked for the answer to `question`. `spoke` is called as soon as one says that it can't
/// tell. `None` if nobody said anything.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) async fn race(
    group: &Group,
    question: &Question,
    asker: &Arc<Asker>,
    spoke: impl FnMut(),
) -> Option<Outcome> {
    let question = Arc::new(question.clone());
    let send = |ask: Ask| Exchange::begin(ask, Arc::clone(&question), Arc::clone(asker));
    let mut running = FuturesUnordered::new();
    let said = run(Race::new(group), &mut running, send, asker, spoke).await?;
    hear_out(running, said.runner);
    Some(said.into())
}

async fn run(
    mut race: Race,
    running: &mut FuturesUnordered<Exchange>,
    send: impl Fn(Ask) -> Exchange,
    asker: &Asker,
    mut spoke: impl FnMut(),
) -> Option<Said> {
    running.extend(race.probes().into_iter().map(&send));
    loop {
        let end = race.end();
        tokio::select! {
            biased;
            Some((runner, said)) = running.next() => {
                match said.map(|answer| (answer.worth(), Said { runner, answer })) {
                    Ok((Worth::Positive, said)) => return Some(said),
                    Ok((Worth::Negative, said)) => race.hold(said),
                    Ok((worth @ (Worth::Failed | Worth::Poor), said)) => {
                        spoke();
                        race.spoke(worth, said);
                    }
                    // Why, was told.
                    Err(_) => race.unreachable(runner),
                }
                if let Some(said) = race.decided() {
                    return Some(said);
                }
            }
            () = sleep_until(end) => return race.given_up(asker),
            () = until(race.next.unwrap_or(end)), if race.next.is_some() => {
                running.extend(race.step().into_iter().map(&send));
            }
        }
    }
}

/// Timers are a millisecond late at least: what is due now does not wait for one.
async fn until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}
