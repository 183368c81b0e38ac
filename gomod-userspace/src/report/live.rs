// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees while the run goes on: one live line on a terminal, and each stall as soon as it is known.

use std::{
    collections::HashSet,
    env,
    io::{self, IsTerminal as _, Write},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    palette::{Palette, moves_cursor},
    progress::Progress,
    screen::{LineBelow, Size},
    stall_lines::{hazard_known, stall_ended, stall_explained, stall_known},
};
use crate::{
    diagnose::{Hazard, StallChange, StallId},
    kernel::events::MonotonicNanos,
    timeline::Timeline,
};

/// Redraws a second, at most.
const REDRAWS: u8 = 10;

/// What to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveOptions {
    /// Nothing at all; whoever asks for that leaves out the summary as well.
    pub quiet: bool,
    /// How many modules there are to download, if that is known.
    pub total: Option<usize>,
}

/// Shows a run on standard error.
pub struct Live {
    output: Output,
    palette: Palette,
    progress: Progress,
    suspended: bool,
    /// Stalls that were printed and may end.
    announced: HashSet<StallId>,
}

enum Output {
    Nothing,
    Lines(Box<dyn Write + Send>),
    Line {
        bar: ProgressBar,
        writer: Box<dyn Write + Send>,
        size: fn() -> Size,
    },
}

impl Live {
    /// On a terminal that can be drawn on, a live line and stall lines; elsewhere stall lines only; nothing if
    /// `quiet`.
    pub fn new(options: LiveOptions) -> Self {
        let stderr = io::stderr();
        let palette = Palette::for_stream(&stderr);
        let output = if options.quiet {
            Output::Nothing
        } else if stderr.is_terminal() && moves_cursor(env::var_os("TERM").as_deref()) {
            line(io::stderr(), io::stderr(), terminal_size)
        } else {
            Output::Lines(Box::new(stderr))
        };
        Self::with(output, palette, options.total)
    }

    fn with(output: Output, palette: Palette, total: Option<usize>) -> Self {
        Self {
            output,
            palette,
            progress: Progress::new(total),
            suspended: false,
            announced: HashSet::new(),
        }
    }

    /// Shows what is new; to be called about ten times a second and after each change of a stall. That the
    /// terminal is gone is no reason to stop a run: failed writes are passed over.
    pub fn tick(&mut self, timeline: &Timeline, stalls: &[StallChange], now: MonotonicNanos) {
        let text = self.stall_text(timeline.began, stalls);
        self.print(&text);
        if let Output::Line { bar, size, .. } = &mut self.output {
            self.progress.tick(timeline, now);
            if !self.suspended {
                // One column stays free: a full row would make the terminal wrap.
                let width = usize::from(size().0).saturating_sub(1);
                bar.set_message(self.progress.line(width));
            }
        }
    }

    /// Shows a hazard, once.
    pub fn hazard(&mut self, hazard: &Hazard, timeline: &Timeline) {
        self.print(&hazard_known(hazard, timeline.began, self.palette));
    }

    /// Lines that stay, above the live one.
    fn print(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match &mut self.output {
            Output::Nothing => {}
            Output::Lines(writer) => {
                let _ = writer.write_all(text.as_bytes());
            }
            Output::Line { bar, writer, .. } => bar.suspend(|| {
                let _ = writer
                    .write_all(text.as_bytes())
                    .and_then(|()| writer.flush());
            }),
        }
    }

    /// Takes the live line off the terminal until [`resume`](Self::resume): before the process stops, or somebody
    /// else needs the screen. Stalls are still printed.
    pub fn suspend(&mut self) {
        self.suspended = true;
        self.clear();
    }

    /// Undoes [`suspend`](Self::suspend); the line comes back with the next tick.
    pub fn resume(&mut self) {
        self.suspended = false;
    }

    /// Takes the live line off the terminal for good. Dropping does the same.
    pub fn finish(mut self) {
        self.clear();
    }

    fn clear(&mut self) {
        if let Output::Line { bar, .. } = &self.output {
            bar.set_message("");
            // Erases the line, then draws the empty one; unlike setting a message it is never put off.
            bar.suspend(|| ());
        }
    }

    fn stall_text(&mut self, began: MonotonicNanos, stalls: &[StallChange]) -> String {
        let mut text = String::new();
        for change in stalls {
            match change {
                StallChange::Known(stall) => {
                    text += &stall_known(stall, began, self.palette);
                    // One that was over when it became known says so itself.
                    if stall.ended.is_none() {
                        self.announced.insert(stall.id);
                    }
                }
                StallChange::Explained { stall, because, at } => {
                    text += &stall_explained(stall, because, at.since(began), self.palette);
                }
                StallChange::Ended(stall) => {
                    if self.announced.remove(&stall.id) {
                        text += &stall_ended(stall, began, self.palette);
                    }
                }
            }
        }
        text
    }
}

/// A live line into `drawing`, stall lines above it into `writer`; both are the same terminal.
fn line(
    drawing: impl Write + Send + 'static,
    writer: impl Write + Send + 'static,
    size: fn() -> Size,
) -> Output {
    let screen = Box::new(LineBelow::new(drawing, size));
    let target = ProgressDrawTarget::term_like_with_hz(screen, REDRAWS);
    let style =
        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    Output::Line {
        bar: ProgressBar::with_draw_target(None, target).with_style(style),
        writer: Box::new(writer),
        size,
    }
}

/// Size of the terminal at standard error; 80 × 24 if it does not tell.
fn terminal_size() -> Size {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests;
