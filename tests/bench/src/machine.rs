// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where it was measured: what matters for the figures, and nothing that names the machine.

use std::{fs, thread};

use serde_json::{Value, json};

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    /// The Go version that is used, if it matters.
    go: Option<String>,
    /// Load averages of 1, 5 and 15 minutes when the measurement began.
    load: String,
}

impl Machine {
    /// This one, with the Go version that is used, if it matters.
    pub(crate) fn describe(go: Option<&str>) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok())
                .unwrap_or(0)
                / 1024,
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            go: go.map(str::to_owned),
            load: read("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} cores of {}, {:.1} GiB, Linux {}{}; load before: {}",
            self.cores,
            self.processor,
            self.memory_mib as f64 / 1024.0,
            self.kernel,
            self.go
                .as_ref()
                .map_or_else(String::new, |go| format!(", Go {go}")),
            self.load
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory_mib": self.memory_mib,
            "kernel": self.kernel,
            "go": self.go,
            "load_before": self.load,
        })
    }
}

/// The first value of this name in a file of `name : value` lines.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_tabs_and_blanks() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nMemTotal:       16 kB\n";
        assert_eq!(field(text, "model name"), Some("A CPU @ 2 GHz"));
        assert_eq!(field(text, "MemTotal"), Some("16 kB"));
        assert_eq!(field(text, "MemFree"), None);
    }
}
