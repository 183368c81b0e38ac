// SPDX-License-Identifier: MIT OR Apache-2.0
//! Colours, or none.

use std::{borrow::Cow, env, ffi::OsStr, io::IsTerminal};

/// Paints words where the reader can see colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    colours: bool,
}

impl Palette {
    /// No colours.
    pub const PLAIN: Self = Self { colours: false };

    /// Colours.
    pub const COLOURED: Self = Self { colours: true };

    /// Colours if `stream` is a terminal that knows them and nobody asked for none (`NO_COLOR`, see no-color.org).
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        Self::from_environment(
            stream.is_terminal(),
            env::var_os("TERM").as_deref(),
            env::var_os("NO_COLOR").as_deref(),
        )
    }

    fn from_environment(terminal: bool, term: Option<&OsStr>, no_color: Option<&OsStr>) -> Self {
        Self {
            colours: terminal && moves_cursor(term) && no_color.is_none_or(OsStr::is_empty),
        }
    }

    /// A heading.
    pub(super) fn bold(self, text: &str) -> Cow<'_, str> {
        self.paint("1", text)
    }

    /// What matters less.
    pub(super) fn dim(self, text: &str) -> Cow<'_, str> {
        self.paint("2", text)
    }

    /// A verdict.
    pub(super) fn red(self, text: &str) -> Cow<'_, str> {
        self.paint("31", text)
    }

    /// What deserves a look.
    pub(super) fn yellow(self, text: &str) -> Cow<'_, str> {
        self.paint("33", text)
    }

    /// Something that is over.
    pub(super) fn green(self, text: &str) -> Cow<'_, str> {
        self.paint("32", text)
    }

    fn paint<'a>(self, code: &str, text: &'a str) -> Cow<'a, str> {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m").into()
        } else {
            text.into()
        }
    }
}

/// Whether a terminal of this type can be drawn on.
pub(super) fn moves_cursor(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal_that_has_them_and_nobody_against_them() {
        let colours = |terminal, term: Option<&str>, no_color: Option<&str>| {
            Palette::from_environment(terminal, term.map(OsStr::new), no_color.map(OsStr::new))
                .colours
        };
        assert!(colours(true, Some("xterm"), None));
        assert!(colours(true, Some("xterm"), Some("")));
        assert!(!colours(true, Some("xterm"), Some("1")));
        assert!(!colours(true, Some("dumb"), None));
        assert!(!colours(true, None, None));
        assert!(!colours(false, Some("xterm"), None));
        assert_eq!(Palette::PLAIN.red("a"), "a");
        assert_eq!(Palette::COLOURED.red("a"), "\x1b[31ma\x1b[0m");
    }
}
