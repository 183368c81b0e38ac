// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of module path globs: GOPRIVATE, GONOPROXY, GONOSUMDB, GOINSECURE.
//!
//! Rules: `MatchPrefixPatterns` of golang.org/x/mod/module, `Match` of Go's path package. A glob of N elements is held
//! against the first N elements of the module path; `*`, `?` and `[…]` do not match a slash; a malformed glob
//! matches nothing.

/// A comma-separated list of globs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    text: String,
    globs: Vec<Glob>,
}

/// One glob.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    slashes: usize,
    tokens: Vec<Token>,
}

/// A part of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any number of characters, no slash.
    Star,
    /// One character, no slash.
    Any,
    /// This character.
    Literal(char),
    /// One character, no slash, of these ranges, or of none of them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Patterns {
    /// Reads a list. Empty and malformed globs are left out, as they match nothing.
    pub fn parse(text: &str) -> Self {
        let globs = text
            .split(',')
            .map(|glob| glob.strip_suffix('/').unwrap_or(glob))
            .filter(|glob| !glob.is_empty())
            .filter_map(|glob| {
                Some(Glob {
                    slashes: glob.matches('/').count(),
                    tokens: tokens(glob)?,
                })
            })
            .collect();
        Self {
            text: text.to_owned(),
            globs,
        }
    }

    /// Whether one of the globs matches a prefix of the module path.
    pub fn matches(&self, module: &str) -> bool {
        self.globs.iter().any(|glob| {
            // As in Go, "a/" has two elements, the second one empty.
            match module.match_indices('/').nth(glob.slashes) {
                Some((end, _)) => covers(&glob.tokens, &module[..end]),
                None if module.matches('/').count() == glob.slashes => covers(&glob.tokens, module),
                None => false,
            }
        })
    }

    /// Whether nothing was listed. A list of malformed globs is not empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The list as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The tokens of a glob; `None` if it is malformed.
fn tokens(glob: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = glob.chars().peekable();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Literal(letters.next()?),
            '[' => {
                let negated = letters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || letters.next_if_eq(&']').is_none() {
                    let low = class_letter(&mut letters)?;
                    let high = match letters.next_if_eq(&'-') {
                        Some(_) => class_letter(&mut letters)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::Class { negated, ranges }
            }
            other => Token::Literal(other),
        });
    }
    Some(tokens)
}

/// One end of a range in a class; `-` and `]` must be escaped.
fn class_letter(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    match letters.next()? {
        '-' | ']' => None,
        '\\' => letters.next(),
        other => Some(other),
    }
}

/// Whether the tokens match all of the name.
fn covers(tokens: &[Token], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    // reached[i]: the tokens so far match the first i characters.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; name.len() + 1];
        if matches!(token, Token::Star) {
            next[0] = reached[0];
        }
        for (at, letter) in name.iter().enumerate() {
            next[at + 1] = match token {
                Token::Star => reached[at + 1] || (next[at] && *letter != '/'),
                Token::Any => reached[at] && *letter != '/',
                Token::Literal(wanted) => reached[at] && letter == wanted,
                Token::Class { negated, ranges } => {
                    let inside = ranges
                        .iter()
                        .any(|(low, high)| (*low..=*high).contains(letter));
                    reached[at] && *letter != '/' && inside != *negated
                }
            };
        }
        reached = next;
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefixes_match_element_by_element() {
        for (list, module, expected) in [
            ("example.com", "example.com/a/b", true),
            ("example.com/", "example.com/a", true),
            ("example.com", "example.com.evil/a", false),
            ("example.com/a", "example.com", false),
            ("example.com/a", "example.com/ab", false),
            (
                "*.corp.example.com,rsc.io/private",
                "git.corp.example.com/xyzzy",
                true,
            ),
            (
                "*.corp.example.com,rsc.io/private",
                "rsc.io/private/quux",
                true,
            ),
            ("*.corp.example.com", "corp.example.com", false),
            ("*.corp.example.com", "a/b.corp.example.com", false),
            ("github.com/*/secret", "github.com/me/secret/v2", true),
            ("github.com/*/secret", "github.com/a/b/secret", false),
            (",,", "example.com", false),
            ("", "example.com", false),
            ("*", "example.com/a", true),
            (" example.com", "example.com", false),
            ("e?ample.[a-c]om", "example.com", true),
            ("e?ample.[^a-c]om", "example.com", false),
            ("example.com/[", "example.com/[", false),
            ("example.com/[]a]", "example.com/]", false),
            ("example.com/[x-]", "example.com/x", false),
            ("example.com/\\*", "example.com/*", true),
            ("example.com/\\", "example.com/\\", false),
            ("a*b*c", "aXbYbZc", true),
            ("none", "example.com", false),
        ] {
            assert_eq!(
                Patterns::parse(list).matches(module),
                expected,
                "{list} {module}"
            );
        }
    }

    #[test]
    fn a_malformed_list_is_not_an_empty_list() {
        assert!(!Patterns::parse("[").is_empty());
        assert!(Patterns::parse("").is_empty());
        assert_eq!(Patterns::parse("a,b").as_str(), "a,b");
    }

    proptest! {
        #[test]
        fn a_path_matches_itself_and_what_is_below(path in "[a-z]{1,4}(/[a-z]{1,4}){0,3}", below in "[a-z]{1,4}") {
            let patterns = Patterns::parse(&path);
            prop_assert!(patterns.matches(&path));
            let longer = format!("{path}/{below}");
            prop_assert!(patterns.matches(&longer));
            let other = format!("{path}{below}");
            prop_assert!(!patterns.matches(&other));
        }

        #[test]
        fn stars_in_number_stay_quick(stars in 1usize..200, module in "[a-b/]{0,300}") {
            let _ = Patterns::parse(&"*a".repeat(stars)).matches(&module);
        }

        #[test]
        fn arbitrary_text_never_panics(list in any::<String>(), module in any::<String>()) {
            let _ = Patterns::parse(&list).matches(&module);
        }
    }
}
