// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run's facts as they come in: events to timeline, timeline to stalls, both to whoever shows them.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufWriter, Write as _},
    rc::Rc,
    time::Duration,
};

use super::{cache_watch::CacheWatch, run::Arguments, say};
use crate::{
    diagnose::{Diagnosis, StallChange},
    kernel::{
        self, KernelError,
        events::{Event, EventKind, MonotonicNanos},
    },
    launch::Invoker,
    report::{
        EventStream, Live, LiveOptions, Palette, Report, RunFacts, SummaryFacts, summary,
        write_report,
    },
    timeline::Timeline,
};

/// How often the timeline is judged and shown when nothing urgent happens.
const PERIOD: Duration = Duration::from_millis(100);

/// Everything that is kept of a run while it goes on.
pub(super) struct Session {
    timeline: Timeline,
    diagnosis: Diagnosis,
    caches: CacheWatch,
    /// How many of the diagnosis's hazards were shown.
    hazards_shown: usize,
    live: Rc<RefCell<Live>>,
    events: Option<EventStream<File>>,
    recording: Option<Recording>,
    judged: MonotonicNanos,
    /// Events can't be read any more.
    blind: bool,
}

impl Session {
    /// Begins the run's time. `databases` are hosts of checksum databases.
    pub(super) fn begin(
        quiet: bool,
        total: Option<usize>,
        databases: Vec<String>,
        events: Option<File>,
        recording: Option<Recording>,
    ) -> Self {
        let began = kernel::now();
        Self {
            timeline: Timeline::new(began),
            diagnosis: Diagnosis::with_databases(databases),
            caches: CacheWatch::default(),
            hazards_shown: 0,
            live: Rc::new(RefCell::new(Live::new(LiveOptions { quiet, total }))),
            events: events.map(EventStream::new),
            recording,
            judged: began,
            blind: false,
        }
    }

    /// What shows the run; job control takes it off the terminal.
    pub(super) fn live(&self) -> Rc<RefCell<Live>> {
        Rc::clone(&self.live)
    }

    /// True once events can't be read any more: to ask again would only give the same error, at once.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Takes in a batch, and judges if it is time or something urgent came. What can't be read or written is told once;
    /// the command goes on as it would without us.
    pub(super) fn take(&mut self, batch: Result<Vec<Event>, KernelError>) {
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                if !self.blind {
                    self.blind = true;
                    complain("the rest of this run is not seen", &error);
                }
                return;
            }
        };
        let caches = self.caches.look(&batch);
        batch.extend(caches);
        let mut urgent = false;
        for event in &batch {
            urgent |= is_urgent(&event.kind);
            self.timeline.apply(event);
        }
        keep_or_drop(&mut self.recording, "--record", |recording| {
            recording.write(&batch)
        });
        let now = kernel::now();
        if urgent || now.since(self.judged) >= PERIOD {
            self.judged = now;
            let changes = self.diagnosis.examine(&self.timeline, now);
            self.show(&changes, now);
        }
    }

    fn show(&mut self, changes: &[StallChange], now: MonotonicNanos) {
        for hazard in self.diagnosis.hazards().iter().skip(self.hazards_shown) {
            self.live.borrow_mut().hazard(hazard, &self.timeline);
            if let Some(events) = &mut self.events {
                events.hazard(hazard, &self.timeline);
            }
        }
        self.hazards_shown = self.diagnosis.hazards().len();
        self.live.borrow_mut().tick(&self.timeline, changes, now);
        keep_or_drop(&mut self.events, "--events", |events| {
            events.tick(&self.timeline, changes)
        });
    }

    /// Ends the run: last judgement, report, summary.
    pub(super) fn finish(mut self, facts: &RunFacts, arguments: &Arguments, invoker: &Invoker) {
        self.timeline.finish(facts.ended_at);
        let changes = self.diagnosis.examine(&self.timeline, facts.ended_at);
        self.show(&changes, facts.ended_at);
        self.live.borrow_mut().suspend();
        if let Some(events) = self.events
            && let Err(error) = events.finish(&self.timeline, &[], facts.ended_at)
        {
            complain("--events is incomplete", &error);
        }
        if let Some(recording) = self.recording
            && let Err(error) = recording.finish()
        {
            complain("--record is incomplete", &error);
        }
        let (stalls, hazards) = (self.diagnosis.stalls(), self.diagnosis.hazards());
        let report = arguments.report.as_deref().filter(|path| {
            let report = Report::build(&self.timeline, stalls, hazards, facts);
            match invoker.with_file_rights(|| write_report(path, &report)) {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => complain("no report", &error),
                Err(error) => complain("no report", &error),
            }
            false
        });
        if !arguments.quiet {
            let shown = SummaryFacts {
                run: facts,
                hazards,
                report,
                events: arguments.events.as_deref(),
            };
            let palette = Palette::for_stream(&io::stderr());
            let text = summary(&self.timeline, stalls, &shown, palette);
            // A closed stderr is no reason to change the exit code.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
}

/// One line on stderr: an error that does not end the run.
fn complain(what: &str, error: &dyn std::error::Error) {
    say(format_args!("{what}: {error}"));
}

/// Writes to `output` if it is there; after an error it is not there any more.
fn keep_or_drop<W>(
    output: &mut Option<W>,
    option: &str,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) {
    if let Some(writer) = output
        && let Err(error) = write(writer)
    {
        complain(&format!("{option} ends here"), &error);
        *output = None;
    }
}

/// Events after which a stall may be known at once.
fn is_urgent(kind: &EventKind) -> bool {
    match kind {
        EventKind::Exit { .. }
        | EventKind::ConnectFailed { .. }
        | EventKind::SocketError { .. }
        | EventKind::LockHolder { .. } => true,
        EventKind::Packet(packet) => packet.flags.rst(),
        _ => false,
    }
}

/// The kernel's events as JSON lines.
pub(super) struct Recording {
    file: BufWriter<File>,
}

impl Recording {
    /// Writes to `file`.
    pub(super) fn new(file: File) -> Self {
        Self {
            file: BufWriter::new(file),
        }
    }

    fn write(&mut self, events: &[Event]) -> io::Result<()> {
        for event in events {
            serde_json::to_writer(&mut self.file, event)?;
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}
