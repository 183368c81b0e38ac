// SPDX-License-Identifier: MIT OR Apache-2.0
//! A place for one line on a terminal that somebody else writes to as well.
//!
//! The line stands *below* the cursor, and the cursor stays where the other writer left it: what it prints
//! next continues its own text, and each of its lines pushes ours down. Before each change of ours everything
//! from the cursor on is erased, which is only what we drew. Where the other one writes several lines between two
//! changes of ours, the end of our line stays behind its second one; a scroll region would prevent that, but
//! would outlive us on the terminal if we were killed.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use indicatif::TermLike;

/// Columns and rows.
pub(super) type Size = (u16, u16);

/// Erases from the cursor to the end of the screen.
const ERASE: &str = "\x1b[J";
/// Down one row (which scrolls at the bottom) and up again, both in the same column: now there is a row below.
const MAKE_ROOM: &str = "\x1bD\x1bM";
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";

/// Turns what indicatif draws into the line below the cursor.
pub(super) struct LineBelow<W> {
    size: fn() -> Size,
    screen: Mutex<Screen<W>>,
}

struct Screen<W> {
    writer: W,
    /// The line as indicatif composes it.
    line: String,
    /// The line that stands on the terminal.
    shown: Option<String>,
}

impl<W: Write> LineBelow<W> {
    pub(super) fn new(writer: W, size: fn() -> Size) -> Self {
        Self {
            size,
            screen: Mutex::new(Screen {
                writer,
                line: String::new(),
                shown: None,
            }),
        }
    }

    fn with(&self, act: impl FnOnce(&mut Screen<W>) -> io::Result<()>) -> io::Result<()> {
        act(&mut self.screen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<W: Write> Screen<W> {
    /// One write for a whole change, so that the other writer's text does not come between.
    fn show(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_matches(['\r', ' ']);
        let text = if line.is_empty() {
            if self.shown.take().is_none() {
                return Ok(());
            }
            ERASE.to_owned()
        } else {
            self.shown = Some(line.to_owned());
            format!("{ERASE}{MAKE_ROOM}{SAVE}\r\n{line}{RESTORE}")
        };
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }
}

impl<W> std::fmt::Debug for LineBelow<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LineBelow").finish_non_exhaustive()
    }
}

/// There is one line, so that moving between lines means nothing here.
impl<W: Write + Send> TermLike for LineBelow<W> {
    fn width(&self) -> u16 {
        (self.size)().0
    }

    fn height(&self) -> u16 {
        (self.size)().1
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.with(|screen| {
            screen.line.push_str(text);
            Ok(())
        })
    }

    fn clear_line(&self) -> io::Result<()> {
        self.with(|screen| {
            screen.line.clear();
            Ok(())
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.with(Screen::show)
    }
}
