// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queries per second, by dnsperf.

use std::{io::Write as _, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

/// Names asked for in turn.
const NAMES: u32 = 100;

/// A file of names as dnsperf reads it.
pub(super) fn names() -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for number in 0..NAMES {
        writeln!(file, "rate{number}.example A")?;
    }
    Ok(file)
}

/// Asks for all names once, so that they are known; then as fast as it goes.
pub(super) fn per_second(resolver: SocketAddr, names: &Path, seconds: u16) -> Result<f64> {
    dnsperf(resolver, names, &["-n", "1"])?;
    dnsperf(resolver, names, &["-l", &seconds.to_string()])
}

fn dnsperf(resolver: SocketAddr, names: &Path, how_long: &[&str]) -> Result<f64> {
    let mut command = Command::new("dnsperf");
    command
        .args(["-s", &resolver.ip().to_string()])
        .args(["-p", &resolver.port().to_string()])
        .arg("-d")
        .arg(names)
        .args(how_long);
    let output = command
        .output()
        .context("cannot start dnsperf (package dnsperf)")?;
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let lost = value(&told, "Queries lost:").context("dnsperf told of no lost queries")?;
    let sent = value(&told, "Queries sent:").context("dnsperf told of no sent queries")?;
    if lost * 1000.0 > sent {
        bail!("{lost} of {sent} queries of dnsperf were lost: the rate says nothing");
    }
    value(&told, "Queries per second:").context("dnsperf told of no rate")
}

/// The first number of the line that begins so.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_dnsperf_prints() {
        let text = "Statistics:\n\n  Queries sent:         300\n  Queries lost:         3 (1.00%)\n\n  Queries per second:   98765.4321\n";
        assert_eq!(value(text, "Queries lost:"), Some(3.0));
        assert_eq!(value(text, "Queries per second:"), Some(98765.4321));
        assert_eq!(value(text, "Average Latency (s):"), None);
    }
}
