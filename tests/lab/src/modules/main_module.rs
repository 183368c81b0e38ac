// SPDX-License-Identifier: MIT OR Apache-2.0
//! The project's own files: go.mod, go.sum and a program, over all modules that it uses.

use std::fmt::Write as _;

use super::{GO, Module};

/// The project's main module.
pub(crate) struct MainModule<'modules>(pub(crate) Vec<&'modules Module>);

impl MainModule<'_> {
    /// A go.mod that requires all of them.
    pub(crate) fn go_mod(&self) -> String {
        let mut text = format!("module example.com/project\n\ngo {GO}\n\nrequire (\n");
        for module in &self.0 {
            // Writing to a String does not fail.
            let _ = writeln!(text, "\t{} {}", module.path, module.version);
        }
        text.push_str(")\n");
        text
    }

    /// The go.sum to that go.mod.
    pub(crate) fn go_sum(&self) -> String {
        let mut lines = self
            .0
            .iter()
            .flat_map(|module| module.go_sum())
            .collect::<Vec<_>>();
        lines.sort();
        lines.concat()
    }

    /// A program that uses all of them.
    pub(crate) fn main_go(&self) -> String {
        let mut text = "package main\n\nimport (\n".to_owned();
        for (number, module) in self.0.iter().enumerate() {
            let _ = writeln!(text, "\tm{number} \"{}\"", module.path);
        }
        text.push_str(")\n\nfunc main() {\n\tsum := 0\n");
        for number in 0..self.0.len() {
            let _ = writeln!(text, "\tsum += m{number}.Number()");
        }
        text.push_str("\tprintln(sum)\n}\n");
        text
    }
}
