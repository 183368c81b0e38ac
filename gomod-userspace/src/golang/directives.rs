// SPDX-License-Identifier: MIT OR Apache-2.0
//! The grammar that go.mod and go.work share: one directive a line, or a block of them.
//!
//! "Go Modules Reference", go.mod files; golang.org/x/mod/modfile. A line that is not understood gives an error and is
//! left out: a count from the rest is better than none.

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Calls `act` with verb, arguments and comment of each directive, blocks unfolded; gives the lines it refused.
pub(super) fn each_directive(
    text: &str,
    mut act: impl FnMut(&str, &[String], &str) -> Result<(), String>,
) -> Vec<LineError> {
    let mut errors = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let (mut tokens, comment) = match tokens(line) {
            Ok(split) => split,
            Err(reason) => {
                errors.push(LineError {
                    line: number,
                    reason,
                });
                continue;
            }
        };
        let outcome = match (&block, tokens.as_slice()) {
            (_, []) => Ok(()),
            (Some(_), [end]) if end == ")" => {
                block = None;
                Ok(())
            }
            (Some((_, verb)), arguments) => act(verb, arguments, comment),
            (None, [verb, open]) if open == "(" => {
                block = Some((number, verb.clone()));
                Ok(())
            }
            (None, [_, ..]) => {
                let verb = tokens.remove(0);
                act(&verb, &tokens, comment)
            }
        };
        if let Err(reason) = outcome {
            errors.push(LineError {
                line: number,
                reason,
            });
        }
    }
    if let Some((line, verb)) = block {
        errors.push(LineError {
            line,
            reason: format!("the block of {verb} is never closed"),
        });
    }
    errors
}

/// Words, quoted strings and parentheses of a line, and its comment.
fn tokens(line: &str) -> Result<(Vec<String>, &str), String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//") {
            return Ok((tokens, comment));
        }
        let (token, after) = match first {
            '(' | ')' => rest.split_at(1),
            '"' | '`' => rest[1..]
                .split_once(first)
                .ok_or("a quoted string does not end")?,
            _ => {
                let end = |(at, letter): (usize, char)| {
                    (letter.is_whitespace()
                        || "()\"`".contains(letter)
                        || rest[at..].starts_with("//"))
                    .then_some(at)
                };
                rest.split_at(rest.char_indices().find_map(end).unwrap_or(rest.len()))
            }
        };
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    Ok((tokens, ""))
}

/// The reason for a line with a directive that nobody knows.
pub(super) fn not_understood(verb: &str) -> String {
    format!("{verb:?} is no directive, or has a wrong number of arguments")
}
