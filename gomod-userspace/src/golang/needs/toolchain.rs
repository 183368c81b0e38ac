// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which other toolchain `go` downloads first. Rules: `Select` of cmd/go/internal/toolchain.

use std::cmp::Ordering;

use crate::golang::go_version::GoVersion;
use crate::golang::module_path::{ModuleVersion, check_version};

/// The toolchain's module, unless the local one is used. `platform` is `GOOS-GOARCH` of the `go` command itself. A
/// toolchain of that name in PATH would be used in its place, which is not looked at here.
pub(super) fn wanted(
    setting: &str,
    local: &GoVersion,
    platform: &str,
    go_line: Option<&str>,
    toolchain_line: Option<&str>,
) -> Option<ModuleVersion> {
    let (least, mode) = match setting {
        "auto" | "path" => ("local", setting),
        other => other.split_once('+').unwrap_or((other, "")),
    };
    let local_name = format!("go{}", local.as_str());
    let (mut name, mut version) = if least == "local" {
        (local_name.clone(), local.clone())
    } else {
        (least.to_owned(), GoVersion::of_toolchain(least)?)
    };
    if mode == "auto" && toolchain_line != Some("default") {
        let newer = |one: &GoVersion, other: &GoVersion| one.compare(other) == Ordering::Greater;
        if let Some(line) = toolchain_line {
            let named = GoVersion::of_toolchain(line)?;
            if newer(&named, &version) {
                (name, version) = (line.to_owned(), named);
            }
        }
        if let Some(line) = go_line.and_then(GoVersion::parse)
            && newer(&line, &version)
        {
            name = line.toolchain();
        }
    }
    if mode == "path" || name == local_name || !name.starts_with("go1") {
        return None;
    }
    let version = format!("v0.0.1-{name}.{platform}");
    check_version(&version).ok()?;
    Some(ModuleVersion {
        path: "golang.org/toolchain".to_owned(),
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_setting_and_lines_counts() {
        let local = GoVersion::parse("1.24.11").unwrap();
        for (setting, go, toolchain, expected) in [
            ("auto", Some("1.24.11"), None, None),
            ("auto", Some("1.25"), None, Some("go1.25.0")),
            ("auto", Some("1.25.2"), Some("go1.27.3"), Some("go1.27.3")),
            ("auto", Some("1.27.3"), Some("go1.25.0"), Some("go1.27.3")),
            ("auto", Some("1.24"), Some("go1.24.1"), None),
            ("auto", Some("1.24"), Some("default"), None),
            ("auto", Some("1.24"), Some("gcc"), None),
            ("local+auto", Some("1.26.1"), None, Some("go1.26.1")),
            ("go1.22.10", Some("1.27.3"), None, Some("go1.22.10")),
            ("go1.26.6+auto", Some("1.25"), None, Some("go1.26.6")),
            ("local", Some("1.27.3"), None, None),
            ("path", Some("1.27.3"), None, None),
            ("go1.26.6+path", None, None, None),
            ("", Some("1.27.3"), None, None),
            ("../x", None, None, None),
            ("go1.24.11", None, None, None),
        ] {
            let module = wanted(setting, &local, "linux-amd64", go, toolchain);
            let version = module.map(|module| module.version);
            let expected = expected.map(|name| format!("v0.0.1-{name}.linux-amd64"));
            assert_eq!(version, expected, "{setting} {go:?} {toolchain:?}");
        }
    }
}
