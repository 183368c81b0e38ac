// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: installs what the tests need, runs all of them, and sums up.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Read as _, Write as _},
    process::{ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    apt, go, process,
    test_output::{Reader, Totals},
    workspace::Workspace,
};

/// Runs the tests; `args` go to `cargo test`. With `no_skips` (or `CI` in the environment) a skipped test is a failure.
/// The last line on standard output is the sum.
pub(crate) fn run(workspace: &Workspace, no_skips: bool, args: &[OsString]) -> Result<ExitCode> {
    let no_skips =
        no_skips || env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
    if !process::is_root() {
        eprintln!(
            "note: tests that trace a real go command need root and are skipped now; they run with sudo"
        );
    }
    install_prerequisites(workspace)?;
    let mut reader = Reader::default();
    let status = run_cargo(workspace, args, &mut reader)?;
    let failures = failures(status, &mut reader, no_skips);
    for line in &failures {
        eprintln!("error: {line}");
    }
    println!("{}", reader.totals);
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Go toolchains, and packages if we are root; else says which packages are needed, and the tests that want them skip.
pub(crate) fn install_prerequisites(workspace: &Workspace) -> Result<()> {
    install_packages()?;
    go::install_all(workspace)
}

/// The packages alone.
pub(crate) fn install_packages() -> Result<()> {
    let packages = apt::missing_for_tests();
    if process::is_root() {
        return apt::install(&packages);
    }
    if !packages.is_empty() {
        eprintln!(
            "note: these need root to install: `{}`",
            apt::install_command(&packages)
        );
    }
    Ok(())
}

fn run_cargo(workspace: &Workspace, args: &[OsString], reader: &mut Reader) -> Result<ExitStatus> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-fail-fast"]);
    if !selects_packages(args) {
        cargo.arg("--workspace");
    }
    let mut child = cargo
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::shown(&cargo)))?;
    let mut output = child
        .stdout
        .take()
        .context("cargo's output was not piped")?;
    let mut buffer = [0; 8192];
    // As it comes, unfinished lines too: a test that hangs should be on the screen by name.
    loop {
        let read = match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("reading the output of the tests"),
        };
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(read)
            .and_then(|()| stdout.flush())
            .context("writing to standard output")?;
        reader.feed(read);
    }
    reader.finish();
    child.wait().context("waiting for cargo")
}

/// Why the run failed, if it did. A test binary that could not be built, or died, prints no result line: it still counts
/// as one failure, so that the sum never looks like success.
fn failures(status: ExitStatus, reader: &mut Reader, no_skips: bool) -> Vec<String> {
    let mut failures = Vec::new();
    let Totals {
        passed,
        failed,
        skipped,
    } = reader.totals;
    if failed > 0 {
        failures.push(format!("{failed} tests failed"));
    } else if !status.success() {
        failures.push(format!("`cargo test` failed: {status}"));
        reader.totals.failed = 1;
    } else if passed + skipped == 0 {
        failures.push("no test was run".to_owned());
    }
    if no_skips && skipped > 0 {
        failures.push(format!("{skipped} tests were skipped:"));
        failures.extend(reader.skipped.iter().map(|name| format!("skipped: {name}")));
    } else if skipped > 0 {
        eprintln!("{skipped} tests were skipped:");
        reader.skipped.iter().for_each(|name| eprintln!("  {name}"));
    }
    failures
}

fn selects_packages(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != OsStr::new("--"))
        .any(|arg| {
            let arg = arg.to_string_lossy();
            arg.starts_with("-p") || arg.starts_with("--package") || arg == "--workspace"
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn after(exit: i32, passed: u64, failed: u64, skipped: u64) -> (ExitStatus, Reader) {
        let mut reader = Reader::default();
        reader.totals = Totals {
            passed,
            failed,
            skipped,
        };
        (ExitStatus::from_raw(exit << 8), reader)
    }

    #[test]
    fn a_clean_run_has_no_failures() {
        let (status, mut reader) = after(0, 3, 0, 1);
        assert!(failures(status, &mut reader, false).is_empty());
    }

    #[test]
    fn a_binary_that_died_counts_as_a_failure() {
        let (status, mut reader) = after(101, 3, 0, 0);
        assert_eq!(failures(status, &mut reader, false).len(), 1);
        assert_eq!(reader.totals.failed, 1);
    }

    #[test]
    fn skipped_tests_fail_a_run_that_allows_none_and_are_named() {
        let (status, mut reader) = after(0, 3, 0, 1);
        reader.skipped.push("lab: needs root".to_owned());
        let failures = failures(status, &mut reader, true);
        assert_eq!(
            failures,
            ["1 tests were skipped:", "skipped: lab: needs root"]
        );
    }

    #[test]
    fn a_run_without_tests_fails() {
        let (status, mut reader) = after(0, 0, 0, 0);
        assert_eq!(failures(status, &mut reader, false), ["no test was run"]);
    }

    #[test]
    fn a_package_is_only_selected_before_the_test_arguments() {
        let args = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(selects_packages(&args(&["-p", "gomod-lab"])));
        assert!(selects_packages(&args(&["--package=gomod-lab"])));
        assert!(!selects_packages(&args(&["--lib", "--", "-p"])));
    }
}
