// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and paths with `*` in them.

use std::fmt;

/// Text in which every `*` stands for any characters, none included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// True if the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut rest) = text.strip_prefix(head) else {
            return false;
        };
        let mut parts = tail.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(found) => rest = &rest[found + part.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*.zip", "/m/@v/v1.0.0.zip", true),
            ("*.zip", "/m/@v/v1.0.0.zips", false),
            ("/a/*/@v/*.mod", "/a/b/c/@v/v1.mod", true),
            ("/a/*/@v/*.mod", "/b/a/c/@v/v1.mod", false),
            ("proxy.golang.org", "proxy.golang.org", true),
            ("proxy.golang.org", "proxy.golang.or", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} on {text}"
            );
        }
    }
}
