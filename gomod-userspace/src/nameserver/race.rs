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

/// How a race stands.
struct Race {
    runners: Vec<Runner>,
    began: Instant,
    /// Questions so far.
    sent: u32,
    /// Whose turn it is.
    turn: usize,
    /// Questions that were answered by silence only, those sent at once counted as one.
    steps: u32,
    /// When the next question is due; `None` once there were enough.
    next: Option<Instant>,
    /// Those asked at the last step: what they are to be blamed for if the next one comes.
    waited_for: Vec<Arc<Server>>,
    /// What was said that is worth less than an answer.
    poor: Option<Answer>,
    last_round: bool,
}

/// A question to be sent.
struct Ask {
    runner: usize,
    server: Arc<Server>,
    attempt: u32,
}

/// The servers of `group` are asked for the answer to `question`. `spoke` is called as soon as one says anything.
/// `None` if nobody said anything.
pub(super) async fn race(
    group: &Group,
    question: &Question,
    asker: &Asker<'_>,
    mut spoke: impl FnMut(),
) -> Option<Answer> {
    let mut race = Race::new(group);
    let mut running = FuturesUnordered::new();
    let send = |ask: Ask| async move {
        let said = ask.server.ask(question, asker, ask.attempt).await;
        (ask.runner, said)
    };
    running.extend(race.probes().into_iter().map(send));
    loop {
        let end = race.end();
        tokio::select! {
            biased;
            Some((runner, said)) = running.next() => {
                match said {
                    Ok(answer) if answer.worth() == Worth::Good => return Some(answer),
                    Ok(answer) => {
                        spoke();
                        race.spoke(runner, answer);
                    }
                    // Why, was told.
                    Err(_) => race.unreachable(runner),
                }
                if race.is_over() {
                    return race.poor;
                }
            }
            () = until(race.next.unwrap_or(end)), if race.next.is_some() => {
                running.extend(race.step().into_iter().map(send));
            }
            () = sleep_until(end) => {
                asker.give_up();
                return race.poor;
            }
        }
    }
}

impl Race {
    fn new(group: &Group) -> Self {
        let began = Instant::now();
        Self {
            runners: order(group),
            began,
            sent: 0,
            turn: 0,
            steps: 0,
            next: Some(began),
            waited_for: Vec::new(),
            poor: None,
            last_round: false,
        }
    }

    /// Until when an answer is waited for.
    fn end(&self) -> Instant {
        self.began
            + if self.poor.is_some() {
                SECOND_OPINION
            } else {
                GIVE_UP
            }
    }

    /// Those that were silent and may be back are asked beside the best.
    fn probes(&mut self) -> Vec<Ask> {
        (1..self.runners.len())
            .filter(|runner| self.runners[*runner].server.health.probe_is_due())
            .collect::<Vec<_>>()
            .into_iter()
            .map(|runner| self.ask(runner))
            .collect()
    }

    /// There was silence since the last step: whose turn it is now.
    fn step(&mut self) -> Vec<Ask> {
        for server in self.waited_for.drain(..) {
            server.health.silent();
        }
        let lossy = self.steps >= LOSSY_FROM && self.began.elapsed() < LOSSY_FOR;
        let mut step = LONGEST_STEP;
        let mut asks = Vec::new();
        for _ in 0..if lossy { 2 } else { 1 } {
            let count = self.runners.len();
            let Some(runner) = (0..count)
                .map(|offset| (self.turn + offset) % count)
                .find(|runner| self.runners[*runner].spoke.is_none())
            else {
                break;
            };
            self.turn = runner + 1;
            self.runners[runner].unreachable = false;
            let ask = self.ask(runner);
            // Longer by a quarter each time.
            let times = self.steps.min(8);
            step = step.min(ask.server.patience() * 5_u32.pow(times) / 4_u32.pow(times));
            self.waited_for.push(Arc::clone(&ask.server));
            // A stream loses nothing.
            let once = ask.server.address().is_none();
            asks.push(ask);
            if once {
                break;
            }
        }
        self.steps += 1;
        self.next = (self.sent < MAX_QUESTIONS).then(|| Instant::now() + step);
        asks
    }

    fn ask(&mut self, runner: usize) -> Ask {
        self.sent += 1;
        Ask {
            runner,
            server: Arc::clone(&self.runners[runner].server),
            attempt: self.sent,
        }
    }

    /// A server said something that is worth less than an answer: the next one's turn, at once.
    fn spoke(&mut self, runner: usize, answer: Answer) {
        self.no_longer_waits_for(runner);
        self.runners[runner].spoke = Some(answer.worth());
        self.poor.get_or_insert(answer);
        self.go_on_after(Duration::ZERO);
    }

    /// A server can't be reached: the next one's turn, at once, until all have had theirs.
    fn unreachable(&mut self, runner: usize) {
        self.no_longer_waits_for(runner);
        let server = &self.runners[runner].server;
        server.health.silent();
        let pause = if self.sent >= self.runners.len() as u32 {
            server.patience()
        } else {
            Duration::ZERO
        };
        self.runners[runner].unreachable = true;
        self.go_on_after(pause);
    }

    fn no_longer_waits_for(&mut self, runner: usize) {
        let server = &self.runners[runner].server;
        self.waited_for.retain(|other| !Arc::ptr_eq(other, server));
    }

    fn go_on_after(&mut self, pause: Duration) {
        self.next = self.next.map(|_| Instant::now() + pause);
    }

    /// Whether all have spoken, and there is nothing better to be had. Those that failed are asked once more.
    fn is_over(&mut self) -> bool {
        if self.poor.is_none() || !self.runners.iter().all(Runner::is_done) {
            return false;
        }
        if self.last_round || !self.runners.iter().any(Runner::failed) {
            return true;
        }
        self.last_round = true;
        for runner in self.runners.iter_mut().filter(|runner| runner.failed()) {
            runner.spoke = None;
        }
        self.go_on_after(PAUSE);
        false
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
