// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event stream: facts as JSON lines while they happen; `docs/report.md` explains them.

use std::{
    collections::HashMap,
    io::{self, Write},
    ops::Range,
};

use serde::Serialize;

use super::{
    facts::{Tell, at},
    unfinished::Unfinished,
};
use crate::{
    diagnose::{Hazard, StallChange, StallId},
    kernel::events::{MonotonicNanos, Pid},
    timeline::{
        Connection, DnsExchange, DnsOutcome, FileProgress, LockWait, ModuleFile, Process, Timeline,
    },
};

/// Writes what is new in a timeline. Each thing gets a line when it begins and when its state changes; what is
/// finished is not looked at again.
#[derive(Debug)]
pub struct EventStream<W> {
    writer: W,
    batch: Batch,
    processes: HashMap<Pid, (MonotonicNanos, State)>,
    ended_processes: usize,
    dns: Unfinished<State>,
    /// With whether it was closed already at the last look.
    connections: Unfinished<(State, bool)>,
    files: Unfinished<State>,
    locks: Unfinished<State>,
    /// When the latest line of each stall says that it was.
    stalls: HashMap<StallId, MonotonicNanos>,
}

/// A thing's state as its lines name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Started,
    Ended,
    Sent,
    Answered,
    Unanswered,
    Failed,
    Opened,
    Established,
    Closed,
    Wanted,
    Done,
    Waiting,
    Held,
    Acquired,
    Known,
    Explained,
    /// The run was over before the thing was.
    Unfinished,
}

#[derive(Serialize)]
struct Line<F> {
    t_ms: f64,
    kind: &'static str,
    state: State,
    #[serde(flatten)]
    fact: F,
}

impl<W: Write> EventStream<W> {
    /// A stream into `writer`, which is flushed at the end of each [`tick`](Self::tick); lines are handed to it
    /// many at a time.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            batch: Batch::default(),
            processes: HashMap::new(),
            ended_processes: 0,
            dns: Unfinished::default(),
            connections: Unfinished::default(),
            files: Unfinished::default(),
            locks: Unfinished::default(),
            stalls: HashMap::new(),
        }
    }

    /// Takes in a hazard, to be written by the next [`tick`](Self::tick).
    pub fn hazard(&mut self, hazard: &Hazard, timeline: &Timeline) {
        self.batch.began = timeline.began;
        let fact = hazard.tell(timeline.began);
        self.batch.push(hazard.known, "hazard", State::Known, fact);
    }

    /// Writes and flushes what is new, in the order it happened; to be called several times a second. The
    /// timeline's lists may only have grown since the last call.
    pub fn tick(&mut self, timeline: &Timeline, stalls: &[StallChange]) -> io::Result<()> {
        self.gather(timeline, stalls, None);
        self.batch.write(&mut self.writer)
    }

    /// Like [`tick`](Self::tick) for the last time: what has not ended by `ended_at` is told once more, as
    /// `unfinished`. Returns the writer.
    pub fn finish(
        mut self,
        timeline: &Timeline,
        stalls: &[StallChange],
        ended_at: MonotonicNanos,
    ) -> io::Result<W> {
        self.gather(timeline, stalls, None);
        self.gather(timeline, &[], Some(ended_at));
        self.batch.write(&mut self.writer)?;
        Ok(self.writer)
    }

    fn gather(
        &mut self,
        timeline: &Timeline,
        stalls: &[StallChange],
        ended_at: Option<MonotonicNanos>,
    ) {
        let batch = &mut self.batch;
        batch.began = timeline.began;
        batch.ended_at = ended_at;
        let reused = timeline.ended_processes.iter().skip(self.ended_processes);
        self.ended_processes = timeline.ended_processes.len();
        // Processes have no end of the list to look at: ids are used again. There are few of them.
        for process in reused.chain(timeline.processes.values()) {
            let before = self
                .processes
                .get(&process.pid)
                .and_then(|(started, state)| (*started == process.started).then_some(*state));
            let state = batch.follow("process", process, process_steps(process), before);
            self.processes.insert(process.pid, (process.started, state));
        }
        self.dns.visit(&timeline.dns, |exchange, before| {
            let state = batch.follow("dns", exchange, dns_steps(exchange), before);
            (state == State::Sent).then_some(state)
        });
        self.connections
            .visit(&timeline.connections, |connection, before| {
                let (before, was_closed) = before.unzip();
                let mut steps = connection_steps(connection);
                // How it ended may become known a little after that it did: it is told with the next look.
                if was_closed != Some(true) && ended_at.is_none() {
                    steps[2] = None;
                }
                let state = batch.follow("connection", connection, steps, before);
                let open = matches!(state, State::Opened | State::Established);
                open.then_some((state, connection.closed.is_some()))
            });
        self.files.visit(&timeline.files, |file, before| {
            let state = batch.follow("module", file, file_steps(file), before);
            (state == State::Wanted).then_some(state)
        });
        self.locks.visit(&timeline.locks, |lock, before| {
            let state = batch.follow("lock", lock, lock_steps(lock), before);
            matches!(state, State::Waiting | State::Held).then_some(state)
        });
        for change in stalls {
            let (state, when, stall) = match change {
                StallChange::Known(stall) => (State::Known, stall.known, stall),
                StallChange::Explained { stall, at, .. } => (State::Explained, *at, stall),
                StallChange::Ended(stall) => {
                    (State::Ended, stall.ended.unwrap_or(stall.known), stall)
                }
            };
            // What ended it may have come while its cause was being found.
            let when = *self
                .stalls
                .entry(stall.id)
                .and_modify(|latest| *latest = when.max(*latest))
                .or_insert(when);
            batch.push(when, "stall", state, stall.tell(timeline.began));
        }
    }
}

/// The states that a thing has gone through so far, in order, and when; `None` for those it has not reached.
type Steps = [Option<(State, MonotonicNanos)>; 3];

fn process_steps(process: &Process) -> Steps {
    [
        Some((State::Started, process.started)),
        process.ended.map(|ended| (State::Ended, ended)),
        None,
    ]
}

fn dns_steps(exchange: &DnsExchange) -> Steps {
    let end = match exchange.outcome {
        DnsOutcome::Pending => None,
        DnsOutcome::Answered { at, .. } => Some((State::Answered, at)),
        DnsOutcome::Unanswered { at } => Some((State::Unanswered, at)),
        DnsOutcome::Failed { at, .. } => Some((State::Failed, at)),
    };
    [Some((State::Sent, exchange.sent)), end, None]
}

fn connection_steps(connection: &Connection) -> Steps {
    [
        Some((State::Opened, connection.opened)),
        connection
            .established
            .map(|established| (State::Established, established)),
        connection.closed.map(|closed| (State::Closed, closed)),
    ]
}

fn file_steps(file: &ModuleFile) -> Steps {
    let end = match file.progress {
        FileProgress::Wanted | FileProgress::Writing => None,
        FileProgress::Done => Some((State::Done, file.done.unwrap_or(file.wanted))),
        // When it was given up is not recorded; the last sign of life is.
        FileProgress::Failed => Some((State::Failed, file.grew.unwrap_or(file.wanted))),
    };
    [Some((State::Wanted, file.wanted)), end, None]
}

fn lock_steps(lock: &LockWait) -> Steps {
    [
        Some((State::Waiting, lock.began)),
        // When the holder became known is not recorded: the line comes when it is.
        lock.holder.as_ref().map(|_| (State::Held, lock.began)),
        lock.ended.map(|ended| (State::Acquired, ended)),
    ]
}

/// Lines of one tick, put in the order of their times before they are written.
#[derive(Debug, Default)]
struct Batch {
    began: MonotonicNanos,
    ended_at: Option<MonotonicNanos>,
    text: Vec<u8>,
    lines: Vec<(MonotonicNanos, Range<usize>)>,
}

impl Batch {
    /// Adds a line for each state that came after `before`; returns the latest one.
    fn follow<T: Tell>(
        &mut self,
        kind: &'static str,
        thing: &T,
        steps: Steps,
        before: Option<State>,
    ) -> State {
        let reached = before
            .and_then(|before| {
                let same =
                    |step: &Option<(State, _)>| step.is_some_and(|(state, _)| state == before);
                steps.iter().position(same)
            })
            .map_or(0, |index| index + 1);
        let mut latest = before.unwrap_or(State::Unfinished);
        for (state, when) in steps.into_iter().skip(reached).flatten() {
            self.push(when, kind, state, thing.tell(self.began));
            latest = state;
        }
        let ends = matches!(
            latest,
            State::Ended
                | State::Answered
                | State::Unanswered
                | State::Failed
                | State::Closed
                | State::Done
                | State::Acquired
                | State::Unfinished
        );
        if let Some(ended_at) = self.ended_at
            && !ends
        {
            latest = State::Unfinished;
            self.push(ended_at, kind, latest, thing.tell(self.began));
        }
        latest
    }

    fn push(
        &mut self,
        when: MonotonicNanos,
        kind: &'static str,
        state: State,
        fact: impl Serialize,
    ) {
        let start = self.text.len();
        let line = Line {
            t_ms: at(when, self.began),
            kind,
            state,
            fact,
        };
        // Facts are plain structures with text keys, and memory takes every byte: this cannot fail.
        if serde_json::to_writer(&mut self.text, &line).is_err() {
            self.text.truncate(start);
            return;
        }
        self.text.push(b'\n');
        self.lines.push((when, start..self.text.len()));
    }

    fn write(&mut self, writer: &mut impl Write) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.lines.sort_by_key(|(when, _)| *when);
        let mut ordered = Vec::with_capacity(self.text.len());
        for (_, range) in self.lines.drain(..) {
            ordered.extend_from_slice(&self.text[range]);
        }
        self.text.clear();
        writer.write_all(&ordered)?;
        writer.flush()
    }
}
