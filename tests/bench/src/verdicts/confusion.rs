// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was said of what, counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use serde_json::{Value, json};

use super::truth::Truth;

/// Of all probes, this share must be right.
const GOAL: f64 = 0.95;

/// How right an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// Exactly the right verdicts.
    Right,
    /// Nothing wrong, but not all that is right.
    Short,
    /// A cause that is not there.
    Wrong,
}

/// Answers by what was true.
#[derive(Debug, Default)]
pub(super) struct Confusion {
    /// By fault, in the order of the first answer: the right verdicts, and what was said how often.
    rows: BTreeMap<String, (String, BTreeMap<String, u32>)>,
    right: u32,
    short: u32,
    wrong: u32,
    all: Vec<Value>,
}

impl Confusion {
    pub(super) fn add(&mut self, truth: &Truth, rtt: Duration, loss: f64, verdicts: &[Value]) {
        let said: BTreeSet<&str> = verdicts
            .iter()
            .filter_map(|verdict| verdict["verdict"].as_str())
            .collect();
        let expected: BTreeSet<&str> = truth.verdicts.iter().copied().collect();
        match grade(&said, &expected) {
            Grade::Right => self.right += 1,
            Grade::Short => self.short += 1,
            Grade::Wrong => self.wrong += 1,
        }
        let words = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(" + ");
        let row = self
            .rows
            .entry(truth.name())
            .or_insert_with(|| (words(&expected), BTreeMap::new()));
        *row.1.entry(words(&said)).or_default() += 1;
        self.all.push(json!({
            "fault": truth.name(),
            "rtt_ms": rtt.as_millis() as u64,
            "loss": loss,
            "expected": truth.verdicts,
            "verdicts": verdicts,
        }));
    }

    pub(super) fn count(&self) -> u32 {
        self.right + self.short + self.wrong
    }

    pub(super) fn meets_goals(&self) -> bool {
        self.wrong == 0 && f64::from(self.right) >= GOAL * f64::from(self.count())
    }

    /// One line for each fault, one below it for each answer that is not the right one.
    pub(super) fn text(&self) -> String {
        let width = self
            .rows
            .keys()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
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
            "{} probes: {} right, {} undecided, {} wrong; {}",
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
            "probes": self.all,
        })
    }
}

/// `inconclusive…` is never a wrong cause.
fn grade(said: &BTreeSet<&str>, expected: &BTreeSet<&str>) -> Grade {
    if said == expected {
        Grade::Right
    } else if said
        .iter()
        .all(|token| expected.contains(token) || token.starts_with("inconclusive."))
    {
        Grade::Short
    } else {
        Grade::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_cause_is_worse_than_none() {
        let set = |tokens: &[&'static str]| tokens.iter().copied().collect::<BTreeSet<&str>>();
        let expected = set(&["a.x", "b.y"]);
        for (said, wanted) in [
            (&["a.x", "b.y"][..], Grade::Right),
            (&["a.x"], Grade::Short),
            (&["inconclusive.control_failed"], Grade::Short),
            (&["a.x", "c.z"], Grade::Wrong),
            (&["ok"], Grade::Wrong),
        ] {
            assert_eq!(grade(&set(said), &expected), wanted, "{said:?}");
        }
    }

    #[test]
    fn one_wrong_cause_misses_the_goal() {
        let truth = &super::super::truth::TRUTHS[1];
        let said = |token: &str| vec![json!({"verdict": token})];
        let mut confusion = Confusion::default();
        for _ in 0..99 {
            confusion.add(truth, Duration::ZERO, 0.0, &said(truth.verdicts[0]));
        }
        assert!(confusion.meets_goals());
        confusion.add(truth, Duration::ZERO, 0.0, &said("interference.alpn.h2"));
        assert!(!confusion.meets_goals());
        let text = confusion.text();
        assert!(
            text.contains("99/100") && text.contains("1 wrong; FAIL"),
            "{text}"
        );
    }
}
