// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests on one hand-made run that has everything.

pub(in crate::report) mod run;
mod schema;
mod stream;
mod terminal;
