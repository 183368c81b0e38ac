// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a run is: the numbers of the live line.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use super::{
    text::cut,
    unfinished::Unfinished,
    units,
    wait::{self, Wait},
};
use crate::{
    kernel::events::{FetchedAhead, MonotonicNanos},
    timeline::{DnsOutcome, FileProgress, ModuleFileKind, Timeline},
};

/// The rate is that of this much time.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// Follows a timeline, looking only at what may still change.
#[derive(Debug)]
pub(super) struct Progress {
    total: Option<usize>,
    zips: HashSet<(String, String)>,
    mods: usize,
    zip_wanted: bool,
    closed_bytes: u64,
    bytes: u64,
    samples: VecDeque<(MonotonicNanos, u64)>,
    files: Unfinished<()>,
    connections: Unfinished<()>,
    dns: Unfinished<()>,
    locks: Unfinished<()>,
    ahead: Option<FetchedAhead>,
    wait: Option<Wait>,
    now: MonotonicNanos,
}

impl Progress {
    /// `total`: how many modules there are to download, if that is known.
    pub(super) fn new(total: Option<usize>) -> Self {
        Self {
            total,
            zips: HashSet::new(),
            mods: 0,
            zip_wanted: false,
            closed_bytes: 0,
            bytes: 0,
            samples: VecDeque::new(),
            files: Unfinished::default(),
            connections: Unfinished::default(),
            dns: Unfinished::default(),
            locks: Unfinished::default(),
            ahead: None,
            wait: None,
            now: MonotonicNanos::default(),
        }
    }

    /// Takes in what is new.
    pub(super) fn tick(&mut self, timeline: &Timeline, now: MonotonicNanos) {
        self.now = now;
        self.ahead = timeline.ahead;
        self.files.visit(&timeline.files, |file, _| {
            self.zip_wanted |= file.kind == ModuleFileKind::Zip;
            match file.progress {
                FileProgress::Wanted | FileProgress::Writing => return Some(()),
                FileProgress::Failed => {}
                FileProgress::Done => match file.kind {
                    ModuleFileKind::Zip => {
                        self.zips
                            .insert((file.module.clone(), file.version.clone()));
                    }
                    ModuleFileKind::Mod => self.mods += 1,
                    ModuleFileKind::Info => {}
                },
            }
            None
        });
        let mut open_bytes = 0;
        self.connections
            .visit(&timeline.connections, |connection, _| {
                if connection.closed.is_some() {
                    self.closed_bytes += connection.bytes_received;
                    return None;
                }
                open_bytes += connection.bytes_received;
                Some(())
            });
        self.bytes = self.closed_bytes + open_bytes;
        self.dns.visit(&timeline.dns, |exchange, _| {
            (exchange.outcome == DnsOutcome::Pending).then_some(())
        });
        self.locks.visit(&timeline.locks, |lock, _| {
            lock.ended.is_none().then_some(())
        });
        self.sample(now);
        self.wait = wait::current(
            self.dns.open(&timeline.dns),
            self.connections.open(&timeline.connections),
            self.locks.open(&timeline.locks),
            self.files.open(&timeline.files),
            now,
        );
    }

    fn sample(&mut self, now: MonotonicNanos) {
        self.samples.push_back((now, self.bytes));
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.since(*at) >= RATE_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Bytes per second over the last seconds.
    fn rate(&self) -> Option<f64> {
        let (from, before) = self.samples.front()?;
        let time = self.now.since(*from).as_secs_f64();
        (time > 0.0).then(|| self.bytes.saturating_sub(*before) as f64 / time)
    }

    /// One line of at most `width` columns. What a narrow terminal has no room for is left out, the wait last.
    pub(super) fn line(&self, width: usize) -> String {
        let done = match (self.total, self.zip_wanted) {
            (Some(total), true) => format!("{} of {total} modules", self.zips.len()),
            (None, true) => units::counted(self.zips.len(), "module", "modules"),
            (_, false) => units::counted(self.mods, "go.mod file", "go.mod files"),
        };
        let in_flight = format!("{} in flight", self.files.len());
        let rate = self.rate().map(units::rate);
        let ahead = self.ahead.filter(|ahead| ahead.files > 0).map(|ahead| {
            let bytes = units::bytes(ahead.bytes);
            format!("{bytes} fetched ahead")
        });
        let wait = self.wait.as_ref().map(|wait| wait.text(self.now));
        let bytes = units::bytes(self.bytes);
        let all = [
            Some("gomod-trace:"),
            Some(&*done),
            Some(&*bytes),
            rate.as_deref(),
            Some(&*in_flight),
            ahead.as_deref(),
            wait.as_deref(),
        ];
        // Each step leaves out one more part, by its place in `all`.
        for left_out in [
            &[][..],
            &[4],
            &[4, 3],
            &[4, 3, 5],
            &[4, 3, 5, 2],
            &[4, 3, 5, 2, 0],
        ] {
            let line = joined(&all, left_out);
            if line.chars().count() <= width {
                return line;
            }
        }
        let last = wait.as_deref().unwrap_or(&done);
        cut(last, width).into_owned()
    }
}

/// The parts that are there and not left out; commas between all but the name and what follows it.
fn joined(parts: &[Option<&str>], left_out: &[usize]) -> String {
    let mut line = String::new();
    for (index, part) in parts.iter().enumerate() {
        let Some(part) = part.filter(|_| !left_out.contains(&index)) else {
            continue;
        };
        if !line.is_empty() {
            line += if line.ends_with(':') { " " } else { ", " };
        }
        line += part;
    }
    line
}
