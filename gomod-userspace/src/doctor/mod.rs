// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at this machine.

pub mod place;
