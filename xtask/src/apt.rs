// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packages of the system: which command needs which, and their installation where `apt-get` exists.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// A program that the tests or the demo call, and the package that brings it.
struct Needed {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

/// What a test run needs besides cargo. A program missing here shows up as skipped tests.
const FOR_TESTS: [Needed; 8] = [
    Needed {
        program: "python3",
        package: "python3",
        purpose: "unpacks Go toolchains",
    },
    Needed {
        program: "sudo",
        package: "sudo",
        purpose: "the child keeps the caller's identity under it",
    },
    Needed {
        program: "ip",
        package: "iproute2",
        purpose: "brings up the loopback device of a test's network namespace",
    },
    Needed {
        program: "git",
        package: "git",
        purpose: "modules fetched from a repository",
    },
    Needed {
        program: "iptables",
        package: "iptables",
        purpose: "firewall rules in a test's network namespace",
    },
    Needed {
        program: "tshark",
        package: "tshark",
        purpose: "reads the packets that a probe has kept",
    },
    Needed {
        program: "dig",
        package: "bind9-dnsutils",
        purpose: "asks nameservers as no resolver does",
    },
    Needed {
        program: "musl-gcc",
        package: "musl-tools",
        purpose: "makes a program with musl's resolver",
    },
];

/// What the DNS stub is measured with and against.
const FOR_DNS_BENCH: [Needed; 3] = [
    Needed {
        program: "dnsmasq",
        package: "dnsmasq-base",
        purpose: "the DNS stub is measured against it",
    },
    Needed {
        program: "unbound",
        package: "unbound",
        purpose: "the DNS stub is measured against it; where services are started on installation, \
                  `systemctl disable --now unbound` stops it",
    },
    Needed {
        program: "dnsperf",
        package: "dnsperf",
        purpose: "counts answers per second",
    },
];

/// Packages for `bench dns` that are not there yet.
pub(crate) fn missing_for_dns_bench() -> Vec<&'static str> {
    missing(&FOR_DNS_BENCH)
}

fn missing(needed: &[Needed]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for needed in needed {
        if find_program(needed.program).is_none() {
            eprintln!("missing: {} ({})", needed.program, needed.purpose);
            packages.push(needed.package);
        }
    }
    packages
}

/// Packages for the tests that are not there yet.
pub(crate) fn missing_for_tests() -> Vec<&'static str> {
    let mut packages = missing(&FOR_TESTS);
    let mut pip = Command::new("python3");
    if !process::succeeds(pip.args(["-m", "pip", "--version"])) {
        eprintln!("missing: pip (fetches Go toolchains)");
        packages.push("python3-pip");
    }
    packages
}

/// The command that installs `packages`, for messages.
pub(crate) fn install_command(packages: &[&str]) -> String {
    let sudo = if process::is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install -y {}", packages.join(" "))
}

/// Installs `packages`, through `sudo` if we are not root.
///
/// # Errors
/// No `apt-get`, or it failed; the command is in the message.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if process::find_on_path("apt-get").is_none() {
        bail!(
            "this system has no apt-get: install the equivalent of {} by its own means",
            packages.join(" ")
        );
    }
    // Lists as old as the machine's image may know a package in a version that is too old for us, or that is gone.
    if let Err(error) = process::run(apt_get().arg("update")) {
        eprintln!("note: going on with the package lists that are there: {error:#}");
    }
    eprintln!("installing {}", packages.join(" "));
    process::run(apt_get().args(["install", "-y"]).args(packages))
}

fn apt_get() -> Command {
    let mut command = if process::is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    command
}

/// Like [`process::find_on_path`], but an unprivileged `PATH` often lacks the `sbin` directories.
fn find_program(name: &str) -> Option<std::path::PathBuf> {
    process::find_on_path(name).or_else(|| {
        ["/usr/sbin", "/sbin"]
            .into_iter()
            .map(|directory| std::path::Path::new(directory).join(name))
            .find(|path| process::is_executable(path))
    })
}
