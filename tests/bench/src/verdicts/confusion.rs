// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was said of what, counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use serde_json::{Value, json};

/// Of all answers, this share must be right.
const GOAL: f64 = 0.95;

/// How right an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// Exactly the right verdicts.
    Right,
    /// Nothing wrong, but not all that is right.
    Short,
    /// A cause that is not there.
    Wrong,
}

/// What one experiment gave.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) fault: String,
    pub(super) rtt: Duration,
    pub(super) loss: f64,
    pub(super) expected: BTreeSet<String>,
    pub(super) said: BTreeSet<String>,
    pub(super) grade: Grade,
    /// All that was told.
    pub(super) told: Vec<Value>,
}

/// Answers by what was true.
#[derive(Debug, Default)]
pub(super) struct Confusion {
    /// By fault: the right verdicts, and what was said how often.
    rows: BTreeMap<String, (String, BTreeMap<String, u32>)>,
    right: u32,
    short: u32,
    wrong: u32,
    all: Vec<Value>,
}

impl Confusion {
    pub(super) fn add(&mut self, answer: &Answer) {
        let (word, count) = match answer.grade {
            Grade::Right => ("right", &mut self.right),
            Grade::Short => ("undecided", &mut self.short),
            Grade::Wrong => ("wrong", &mut self.wrong),
        };
        *count += 1;
        let words = |set: &BTreeSet<String>| {
            if set.is_empty() {
                return "nothing".to_owned();
            }
            set.iter().cloned().collect::<Vec<_>>().join(" + ")
        };
        let row = self
            .rows
            .entry(answer.fault.clone())
            .or_insert_with(|| (words(&answer.expected), BTreeMap::new()));
        *row.1.entry(words(&answer.said)).or_default() += 1;
        self.all.push(json!({
            "fault": answer.fault,
            "rtt_ms": answer.rtt.as_millis() as u64,
            "loss": answer.loss,
            "grade": word,
            "expected": answer.expected,
            "said": answer.said,
            "told": answer.told,
        }));
    }

    pub(super) fn count(&self) -> u32 {
        self.right + self.short + self.wrong
    }

    pub(super) fn meets_goals(&self) -> bool {
        self.wrong == 0 && f64::from(self.right) >= GOAL * f64::from(self.count())
    }

    /// One line for each fault, one below it for each answer that is not exactly the right one.
    pub(super) fn text(&self, what: &str) -> String {
        let width = self
            .rows
            .keys()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = format!("{what}:\n");
        for (fault, (expected, said)) in &self.rows {
            let right = said.get(expected).copied().unwrap_or(0);
            let all: u32 = said.values().sum();
            let _ = writeln!(text, "{fault:<width$}  {right:>3}/{all:<3}  {expected}");
            for (other, count) in said.iter().filter(|(other, _)| *other != expected) {
                let _ = writeln!(text, "{:<width$}  {count:>3}      {other}", "");
            }
        }
        let _ = writeln!(
            text,
            "{} {what}: {} right, {} undecided, {} wrong; {}",
            self.count(),
            self.right,
            self.short,
            self.wrong,
            if self.meets_goals() { "pass" } else { "FAIL" }
        );
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "right": self.right,
            "undecided": self.short,
            "wrong": self.wrong,
            "pass": self.meets_goals(),
            "answers": self.all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(grade: Grade, said: &str) -> Answer {
        let set = |token: &str| BTreeSet::from([token.to_owned()]);
        Answer {
            fault: "sni-reset".to_owned(),
            rtt: Duration::ZERO,
            loss: 0.0,
            expected: set("a.x"),
            said: set(said),
            grade,
            told: Vec::new(),
        }
    }

    #[test]
    fn one_wrong_cause_misses_the_goal() {
        let mut confusion = Confusion::default();
        for _ in 0..99 {
            confusion.add(&answer(Grade::Right, "a.x"));
        }
        assert!(confusion.meets_goals());
        confusion.add(&answer(Grade::Wrong, "c.z"));
        assert!(!confusion.meets_goals());
        let text = confusion.text("probes");
        assert!(
            text.contains("99/100") && text.contains("1 wrong; FAIL"),
            "{text}"
        );
    }

    #[test]
    fn more_than_one_in_twenty_undecided_misses_it_too() {
        let mut confusion = Confusion::default();
        for _ in 0..19 {
            confusion.add(&answer(Grade::Right, "a.x"));
        }
        confusion.add(&answer(Grade::Short, "inconclusive.control_failed"));
        assert!(confusion.meets_goals());
        confusion.add(&answer(Grade::Short, "inconclusive.control_failed"));
        assert!(!confusion.meets_goals());
    }
}
