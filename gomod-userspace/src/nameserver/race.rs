// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nameservers raced for one answer: the best first, the next as soon as nearly all answers of the first would have
//! come, and again, until one answers or the client has gone away.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::answer::{Answer, Worth};
use super::question::Question;
use super::server::{Asker, Group, Server};

/// How long anybody is asked: Go and glibc ask each server twice, for 5 seconds each time.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How long the others may take once one has said that it can't tell.
const SECOND_OPINION: Duration = Duration::from_secs(2);
/// How long after all servers failed they are asked once more.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest time between two questions.
const LONGEST_STEP: Duration = Duration::from_secs(1);
/// From this many steps of silence on, each asks twice: then packets get lost.
const LOSSY_FROM: u32 = 3;
/// And for this long; it is more likely then that nobody is there.
const LOSSY_FOR: Duration = Duration::from_millis(1500);
/// The most questions for one answer.
const MAX_QUESTIONS: u32 = 32;

/// One of the group in a race.
struct Runner {
    server: Arc<Server>,
    /// It has said something in this round that is worth less than an answer.
    spoke: Option<Worth>,
    /// The last question to it could not even be sent, or was turned down by its machine.
    unreachable: bool,
}

/// The servers of `group` are asked for the answer to `question`. `spoke` is called as soon as one says anything.
/// `None` if nobody said anything.
pub(super) async fn race(
    group: &Group,
    question: &Question,
    asker: &Asker<'_>,
    mut spoke: impl FnMut(),
) -> Option<Answer> {
    let began = Instant::now();
    let mut runners = order(group);
    let mut running = FuturesUnordered::new();
    let mut sent = 0;
    let ask = |index: usize, server: Arc<Server>, attempt: u32| async move {
        (index, server.ask(question, asker, attempt).await)
    };
    let mut poor: Option<Answer> = None;
    let mut last_round = false;
    // Whose turn it is, and since how many steps there was silence.
    let (mut turn, mut steps) = (0, 0);
    let mut next = Some(began);
    // Those asked at the last step: what they are to be blamed for if the next one comes.
    let mut waited_for: Vec<Arc<Server>> = Vec::new();
    for (index, runner) in runners.iter().enumerate().skip(1) {
        if runner.server.health.probe_is_due() {
            sent += 1;
            running.push(ask(index, Arc::clone(&runner.server), sent));
        }
    }
    loop {
        let end = began
            + if poor.is_some() {
                SECOND_OPINION
            } else {
                GIVE_UP
            };
        tokio::select! {
            biased;
            Some((index, said)) = running.next() => match said {
                Ok(answer) if answer.worth() == Worth::Good => return Some(answer),
                said => {
                    let runner = &mut runners[index];
                    waited_for.retain(|server| !Arc::ptr_eq(server, &runner.server));
                    // The next one's turn, at once; a round in vain ends with a pause.
                    let mut pause = Duration::ZERO;
                    if let Ok(answer) = said {
                        spoke();
                        runner.spoke = Some(answer.worth());
                        poor.get_or_insert(answer);
                    } else {
                        runner.server.health.silent();
                        runner.unreachable = true;
                        if sent >= runners.len() as u32 {
                            pause = runners[index].server.patience();
                        }
                    }
                    if poor.is_some() && runners.iter().all(Runner::is_done) {
                        if last_round || !runners.iter().any(Runner::failed) {
                            return poor;
                        }
                        last_round = true;
                        pause = PAUSE;
                        runners.iter_mut().filter(|runner| runner.failed()).for_each(|runner| runner.spoke = None);
                    }
                    next = next.map(|_| Instant::now() + pause);
                }
            },
            () = until(next.unwrap_or(end)), if next.is_some() => {
                for server in waited_for.drain(..) {
                    server.health.silent();
                }
                let lossy = steps >= LOSSY_FROM && began.elapsed() < LOSSY_FOR;
                let mut step = LONGEST_STEP;
                for _ in 0..if lossy { 2 } else { 1 } {
                    let Some(index) = (0..runners.len())
                        .map(|offset| (turn + offset) % runners.len())
                        .find(|index| runners[*index].spoke.is_none())
                    else {
                        break;
                    };
                    turn = index + 1;
                    sent += 1;
                    runners[index].unreachable = false;
                    let server = &runners[index].server;
                    // Longer by a quarter each time.
                    step = step.min(server.patience() * 5_u32.pow(steps.min(8)) / 4_u32.pow(steps.min(8)));
                    waited_for.push(Arc::clone(server));
                    running.push(ask(index, Arc::clone(server), sent));
                    if server.address().is_none() {
                        break;
                    }
                }
                steps += 1;
                next = (sent < MAX_QUESTIONS).then(|| Instant::now() + step);
            }
            () = sleep_until(end) => {
                asker.give_up();
                return poor;
            }
        }
    }
}

impl Runner {
    /// Nothing more is to be had from it in this round.
    fn is_done(&self) -> bool {
        self.spoke.is_some() || self.unreachable
    }

    /// It could not find out, just now.
    fn failed(&self) -> bool {
        self.spoke == Some(Worth::Failed)
    }
}

/// Timers are a millisecond late at least: what is due now does not wait for one.
async fn until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}

/// The best first; among equals as in the client's list.
fn order(group: &Group) -> Vec<Runner> {
    let mut runners = group
        .servers
        .iter()
        .map(|server| (server.health.score(), server))
        .collect::<Vec<_>>();
    runners.sort_by_key(|(score, _)| *score);
    runners
        .into_iter()
        .map(|(_, server)| Runner {
            server: Arc::clone(server),
            spoke: None,
            unreachable: false,
        })
        .collect()
}
