// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a race stands: who is asked next, and when it is decided.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::answer::Worth;
use super::super::server::{Asker, Group};
use super::exchange::Ask;
use super::outcome::Said;
use super::runner::Runner;

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

/// The least time between two questions meanwhile, which are sent two at a time: to all that it is asked, a server that is
/// near and loses three in ten packets each way stays silent less than once in a thousand times.
const HELD_STEP: Duration = Duration::from_millis(100);

/// "There is none", while those listed before may still say otherwise.
#[derive(Debug)]
struct Held {
    said: Said,
    until: Instant,
}

/// How a race stands.
#[derive(Debug)]
pub(super) struct Race {
    /// As in the client's list.
    runners: Vec<Runner>,
    /// In which order they have their turns: as in the list, those known to be dead last.
    order: Vec<usize>,
    began: Instant,
    /// Questions so far.
    sent: u32,
    /// Whose turn it is: a place in the order.
    turn: usize,
    /// Questions that were answered by silence only, those sent at once counted as one.
    steps: u32,
    /// When the next question is due; `None` once there were enough.
    pub(super) next: Option<Instant>,
    /// Those asked at the last step: what they are to be blamed for if the next one comes.
    waited_for: BTreeSet<usize>,
    held: Option<Held>,
    /// What was said that is worth less than an answer.
    poor: Option<Said>,
    last_round: bool,
}

impl Race {
    pub(super) fn new(group: &Group) -> Self {
        let began = Instant::now();
        let mut runners = group.servers.iter().map(Runner::new).collect::<Vec<_>>();
        // Where all are silent, it is the network: that says nothing of any of them.
        if runners.iter().all(|runner| runner.known_dead) {
            for runner in &mut runners {
                runner.known_dead = false;
            }
        }
        let mut order = (0..runners.len()).collect::<Vec<_>>();
        order.sort_by_key(|runner| runners[*runner].known_dead);
        Self {
            runners,
            order,
            began,
            sent: 0,
            turn: 0,
            steps: 0,
            next: Some(began),
            waited_for: BTreeSet::new(),
            held: None,
            poor: None,
            last_round: false,
        }
    }

    /// Until when an answer is waited for.
    pub(super) fn end(&self) -> Instant {
        let longest = if self.poor.is_some() {
            SECOND_OPINION
        } else {
            GIVE_UP
        };
        let end = self.began + longest;
        self.held.as_ref().map_or(end, |held| held.until.min(end))
    }

    /// Nobody has said anything better until the end.
    pub(super) fn given_up(self, asker: &Asker) -> Option<Said> {
        let held = self.held.map(|held| held.said);
        if held.is_none() {
            asker.give_up();
        }
        held.or(self.poor)
    }

    /// Those that are known to be dead and may be back are asked beside the one whose turn it is.
    pub(super) fn probes(&mut self) -> Vec<Ask> {
        (0..self.runners.len())
            .filter(|runner| {
                let runner = &self.runners[*runner];
                runner.known_dead && runner.server.health.probe_is_due()
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|runner| self.ask(runner))
            .collect()
    }

    /// There was silence since the last step: who is asked now.
    pub(super) fn step(&mut self) -> Vec<Ask> {
        for silent in std::mem::take(&mut self.waited_for) {
            self.runners[silent].server.health.silent();
        }
        let asked = if self.held.is_some() {
            self.held_up_for()
        } else {
            self.in_turn()
        };
        let patiences = asked
            .iter()
            .map(|runner| self.runners[*runner].server.patience());
        let step = if self.held.is_some() {
            patiences.fold(HELD_STEP, Duration::max)
        } else {
            // Longer by a quarter each time.
            let times = self.steps.min(8);
            patiences
                .map(|patience| patience * 5_u32.pow(times) / 4_u32.pow(times))
                .fold(LONGEST_STEP, Duration::min)
        };
        self.waited_for.extend(&asked);
        self.steps += 1;
        let asks = asked.into_iter().map(|runner| self.ask(runner)).collect();
        self.next = (self.sent < MAX_QUESTIONS).then(|| Instant::now() + step);
        asks
    }

    /// Whose turn it is, and the next one's if packets get lost.
    fn in_turn(&mut self) -> Vec<usize> {
        let lossy = self.steps >= LOSSY_FROM && self.began.elapsed() < LOSSY_FOR;
        let count = self.order.len();
        let mut asked = Vec::new();
        for _ in 0..if lossy { 2 } else { 1 } {
            let Some(turn) = (0..count)
                .map(|offset| (self.turn + offset) % count)
                .find(|turn| self.runners[self.order[*turn]].spoke.is_none())
            else {
                break;
            };
            self.turn = turn + 1;
            let runner = self.order[turn];
            asked.push(runner);
            if self.runners[runner].loses_nothing() {
                break;
            }
        }
        asked
    }

    /// Those whose word is waited for while "there is none" is held.
    fn held_up_for(&self) -> Vec<usize> {
        let held_by = self.held.as_ref().map_or(0, |held| held.said.runner);
        self.unsettled_before(held_by)
            .flat_map(|runner| std::iter::repeat_n(runner, self.runners[runner].is_asked_again()))
            .collect()
    }

    /// Those listed before that one of which something may still be heard.
    fn unsettled_before(&self, runner: usize) -> impl Iterator<Item = usize> {
        (0..runner).filter(|before| !self.runners[*before].is_done())
    }

    fn ask(&mut self, runner: usize) -> Ask {
        self.sent += 1;
        self.runners[runner].unreachable = false;
        Ask {
            runner,
            server: Arc::clone(&self.runners[runner].server),
            attempt: self.sent,
        }
    }

    /// A server said that there is none. Those listed before it are asked again, at once if they had their time.
    pub(super) fn hold(&mut self, said: Said) {
        self.runners[said.runner].spoke = Some(Worth::Negative);
        self.waited_for.retain(|runner| *runner < said.runner);
        match &mut self.held {
            Some(held) if held.said.runner < said.runner => {}
            Some(held) => held.said = said,
            None => {
                let held_for = self
                    .unsettled_before(said.runner)
                    .map(|runner| self.runners[runner].is_heard_for())
                    .fold(Duration::ZERO, Duration::max);
                let until = Instant::now() + held_for;
                self.held = Some(Held { said, until });
                if self.waited_for.is_empty() {
                    self.go_on_after(Duration::ZERO);
                }
            }
        }
    }

    /// A server said something that is worth less than an answer: the next one's turn, at once.
    pub(super) fn spoke(&mut self, worth: Worth, said: Said) {
        self.runners[said.runner].spoke = Some(worth);
        self.poor.get_or_insert(said);
        self.go_on_after(Duration::ZERO);
    }

    /// A server can't be reached: the next one's turn, at once, until all have had theirs.
    pub(super) fn unreachable(&mut self, runner: usize) {
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

    /// The next step comes not because of silence: nobody is to be blamed for it.
    fn go_on_after(&mut self, pause: Duration) {
        self.waited_for.clear();
        self.next = self.next.map(|_| Instant::now() + pause);
    }

    /// What is final by now.
    pub(super) fn decided(&mut self) -> Option<Said> {
        if let Some(held) = &self.held {
            let open = self.unsettled_before(held.said.runner).next().is_some();
            return self.held.take_if(|_| !open).map(|held| held.said);
        }
        if self.is_over() {
            self.poor.take()
        } else {
            None
        }
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
