// SPDX-License-Identifier: MIT OR Apache-2.0
//! GOFLAGS, and the flags of a command line that change what is downloaded.
//!
//! Rules: `InitGOFLAGS` of cmd/go/internal/base, `Split` of cmd/internal/quoted.

use std::collections::BTreeMap;

/// Flags by name, without their dashes. Those of the command line go before those of GOFLAGS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    values: BTreeMap<String, Option<String>>,
}

/// Why GOFLAGS cannot be used; `go` stops on each of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagsError {
    /// A quote without its other end.
    #[error("GOFLAGS has a string without its closing {quote}")]
    Quote {
        /// The quote.
        quote: char,
    },
    /// A word that is no flag.
    #[error("GOFLAGS has {word:?}, which is no flag: write -NAME or -NAME=VALUE")]
    Word {
        /// The word.
        word: String,
    },
}

impl Flags {
    /// Reads GOFLAGS. The last of two flags of one name counts.
    pub fn parse(goflags: &str) -> Result<Self, FlagsError> {
        let mut flags = Self::default();
        for word in split(goflags)? {
            if !flags.take(word) {
                return Err(FlagsError::Word {
                    word: word.to_owned(),
                });
            }
        }
        Ok(flags)
    }

    /// Takes a word of the form `-NAME`, `--NAME`, `-NAME=VALUE` or `--NAME=VALUE`; gives whether it is one.
    pub fn take(&mut self, word: &str) -> bool {
        let Some(flag) = word.strip_prefix('-') else {
            return false;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.is_empty() || flag.starts_with(['-', '=']) {
            return false;
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        self.values.insert(name.to_owned(), value);
        true
    }

    /// Sets a flag whose value was a word of its own.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), Some(value.to_owned()));
    }

    /// The value of a flag; `None` if it is not set or has none.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// Whether a flag that is on or off is on.
    pub fn is_on(&self, name: &str) -> bool {
        match self.values.get(name) {
            None => false,
            Some(None) => true,
            Some(Some(value)) => {
                matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
            }
        }
    }
}

/// Words between white space, or within `'` or `"` that start a word. There is no escaping.
fn split(text: &str) -> Result<Vec<&str>, FlagsError> {
    const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(SPACE);
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            quote @ ('"' | '\'') => rest[1..]
                .split_once(quote)
                .ok_or(FlagsError::Quote { quote })?,
            _ => rest.split_at(rest.find(SPACE).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = after.trim_start_matches(SPACE);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_may_be_quoted() {
        let flags = Flags::parse(
            "-mod=mod  '-ldflags=-s -w'\t\"--modfile=a 'b'.mod\" -x -mod=vendor -modcacherw=0",
        )
        .unwrap();
        assert_eq!(flags.value("mod"), Some("vendor"));
        assert_eq!(flags.value("ldflags"), Some("-s -w"));
        assert_eq!(flags.value("modfile"), Some("a 'b'.mod"));
        assert_eq!(flags.value("x"), None);
        assert!(flags.is_on("x") && !flags.is_on("modcacherw") && !flags.is_on("v"));
        // A quote inside a word is a character like any other.
        assert_eq!(Flags::parse("-a=b'c").unwrap().value("a"), Some("b'c"));
    }

    #[test]
    fn what_is_no_flag_is_refused() {
        for word in ["x", "-", "--", "---x", "-=x", "--=x"] {
            assert_eq!(
                Flags::parse(word),
                Err(FlagsError::Word { word: word.into() })
            );
        }
        assert_eq!(
            Flags::parse("-x '-y"),
            Err(FlagsError::Quote { quote: '\'' })
        );
        assert_eq!(Flags::parse(" \n"), Ok(Flags::default()));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), like in "[-= '\"a-z]{0,40}") {
            let _ = Flags::parse(&text);
            let _ = Flags::parse(&like);
        }
    }
}
