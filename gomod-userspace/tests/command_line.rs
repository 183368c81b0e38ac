// SPDX-License-Identifier: MIT OR Apache-2.0
//! The binary's own errors, as far as they come before anything is traced.

use std::process::{Command, Stdio};

/// An error for everybody: either the privileges are missing, or the report's directory is.
fn misused() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gomod-trace"));
    command.args([
        "run",
        "--report",
        "/nowhere/at/all/report.json",
        "--",
        "true",
    ]);
    command.stdin(Stdio::null());
    command
}

#[test]
fn an_error_is_one_line_on_stderr_and_nothing_is_started() {
    let output = misused().output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("gomod-trace: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_closed_stderr_does_not_change_how_it_ends() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = misused().stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2), "{status}");
}
