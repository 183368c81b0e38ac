// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a race comes to, and by what right.

use super::super::answer::{Answer, Worth};

/// What a race came to.
#[derive(Debug)]
pub(in super::super) struct Outcome {
    pub(in super::super) answer: Answer,
    pub(in super::super) standing: Standing,
}

/// By what right an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Standing {
    /// The client's own resolver would go by it.
    Final,
    /// "There is none", by a server in the place of those listed before it, which may know better once they speak.
    Provisional,
}

/// What one of them said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) runner: usize,
    pub(super) answer: Answer,
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        let in_place = said.answer.worth() == Worth::Negative && said.runner > 0;
        Self {
            answer: said.answer,
            standing: if in_place {
                Standing::Provisional
            } else {
                Standing::Final
            },
        }
    }
}
