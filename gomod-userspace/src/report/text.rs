// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text for terminals: wrapped, cut, and free of what others could make a terminal do.

use std::borrow::Cow;

/// Columns that lines of ours keep within where no terminal says otherwise.
pub(super) const WIDTH: usize = 96;

/// `text` without control characters: names and arguments come from the network and from others.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// `text` broken at spaces into lines of at most `width` columns, the first after `first`, the others after
/// `others`; a word that is too long has a line of its own.
pub(super) fn wrap(text: &str, first: &str, others: &str, width: usize) -> String {
    let mut lines = String::from(first);
    let mut column = columns(first);
    let mut fresh = true;
    for word in printable(text).split_whitespace() {
        let room = columns(word) + usize::from(!fresh);
        if !fresh && column + room > width {
            lines.push('\n');
            lines.push_str(others);
            column = columns(others);
            fresh = true;
        }
        if !fresh {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += columns(word);
        fresh = false;
    }
    lines
}

/// `text` cut to `width` columns, with an ellipsis if something is missing.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return text.into();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short.into()
}

/// Columns that a text takes; what we print is made of characters one column wide.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two three", "- ", "  ", 9), "- one two\n  three");
        assert_eq!(
            wrap("incomprehensible a", "", " ", 5),
            "incomprehensible\n a"
        );
        assert_eq!(wrap("", "x", "y", 5), "x");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c"), "a\u{fffd}[2Jb\u{fffd}c");
        assert!(matches!(printable("plain"), Cow::Borrowed("plain")));
        assert!(!wrap("a\x07b\nc", "", "", 80).contains(char::is_control));
    }

    #[test]
    fn long_text_is_cut_visibly() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "");
    }
}
