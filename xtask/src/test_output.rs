// SPDX-License-Identifier: MIT OR Apache-2.0
//! What test binaries print, read line by line: totals, and the tests that were skipped.

/// Sums over all `test result:` lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Takes the output in pieces as they come.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    line: Vec<u8>,
    pub(crate) totals: Totals,
    /// Skipped tests, each with its reason if one was given.
    pub(crate) skipped: Vec<String>,
}

impl Reader {
    /// Reads on; the last line may be unfinished.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.finish();
            } else {
                self.line.push(byte);
            }
        }
    }

    /// The output has ended.
    pub(crate) fn finish(&mut self) {
        let line = plain(&String::from_utf8_lossy(&self.line));
        self.line.clear();
        if let Some(result) = parse_result(&line) {
            self.totals.passed += result.passed;
            self.totals.failed += result.failed;
            self.totals.skipped += result.skipped;
        } else if let Some(name) = parse_skipped(&line) {
            self.skipped.push(name);
        }
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`
fn parse_result(line: &str) -> Option<Totals> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let count = |word: &str| {
        counts.split(';').find_map(|part| {
            part.trim()
                .strip_suffix(word)?
                .trim_end()
                .parse::<u64>()
                .ok()
        })
    };
    Some(Totals {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

/// `test NAME ... ignored`, with `, REASON` (libtest) or ` (REASON)` (libtest-mimic) behind it.
fn parse_skipped(line: &str) -> Option<String> {
    let (name, outcome) = line.trim().strip_prefix("test ")?.split_once(" ... ")?;
    let reason = outcome
        .strip_prefix("ignored")?
        .trim_start_matches(',')
        .trim();
    let reason = reason
        .strip_prefix('(')
        .and_then(|reason| reason.strip_suffix(')'))
        .unwrap_or(reason);
    let name = name.trim();
    Some(if reason.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {reason}")
    })
}

/// Without the colours that a test runner may add.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            out.push(c);
            continue;
        }
        // ESC [ … letter
        if chars.next() == Some('[') {
            let _letter = chars.find(char::is_ascii_alphabetic);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Reader {
        let mut reader = Reader::default();
        reader.feed(output.as_bytes());
        reader.finish();
        reader
    }

    #[test]
    fn results_of_several_binaries_are_summed() {
        let reader = read(
            "running 4 tests\ntest a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s\n",
        );
        assert_eq!(
            reader.totals,
            Totals {
                passed: 13,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(reader.totals.to_string(), "13 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn skipped_tests_are_named_with_their_reason() {
        let reader = read(
            "test one ... ignored\ntest two ... ignored, needs root\ntest three ... ignored (needs Go 1.21)\n\
             test src/lib.rs - f (line 3) ... ignored\ntest four ... ok\ntest ignored ... FAILED\n",
        );
        let expected = [
            "one",
            "two: needs root",
            "three: needs Go 1.21",
            "src/lib.rs - f (line 3)",
        ];
        assert_eq!(reader.skipped, expected);
    }

    #[test]
    fn lines_cut_anywhere_and_colours_do_not_matter() {
        let output = "test \x1b[1mx\x1b[0m ... \x1b[33mignored\x1b[0m\n\
            test result: \x1b[32mok\x1b[0m. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        let mut reader = Reader::default();
        for byte in output.bytes() {
            reader.feed(&[byte]);
        }
        reader.finish();
        assert_eq!(
            reader.totals,
            Totals {
                passed: 1,
                failed: 0,
                skipped: 1
            }
        );
        assert_eq!(reader.skipped, ["x"]);
    }

    #[test]
    fn lines_that_only_look_alike_do_not_count() {
        let reader = read(
            "test result: who knows\nthe test result: ok. 1 passed; 0 failed; 0 ignored\ntest result: ok. x passed; 0 failed; 0 ignored\n",
        );
        assert_eq!(reader.totals, Totals::default());
    }
}
