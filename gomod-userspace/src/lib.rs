// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace`: the kernel says what happened to every connection of `go`; this library turns that
//! into one timeline and names each stall.
//!
//! Each module is a room. Data goes one way: [`kernel`] → [`timeline`] → [`diagnose`] → [`report`];
//! [`commands`] composes them; [`wire`] and [`golang`] are pure and know nobody.

pub mod accelerator;
pub mod commands;
pub mod diagnose;
pub mod doctor;
pub mod golang;
pub mod kernel;
pub mod launch;
pub mod nameserver;
pub mod probe;
pub mod report;
pub mod timeline;
pub mod wire;
