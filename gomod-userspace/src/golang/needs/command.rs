// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `go`, as far as it tells what will be downloaded.

use crate::golang::settings::{Flags, Settings};

/// Flags whose value may be a word of its own.
const WITH_VALUE: &[&str] = &[
    "C",
    "asmflags",
    "bench",
    "blockprofile",
    "buildmode",
    "compat",
    "compiler",
    "count",
    "covermode",
    "coverpkg",
    "coverprofile",
    "cpu",
    "cpuprofile",
    "exec",
    "f",
    "fuzz",
    "gccgoflags",
    "gcflags",
    "go",
    "installsuffix",
    "ldflags",
    "memprofile",
    "mod",
    "modfile",
    "o",
    "outputdir",
    "overlay",
    "p",
    "parallel",
    "pgo",
    "pkgdir",
    "reuse",
    "run",
    "shuffle",
    "skip",
    "tags",
    "timeout",
    "toolexec",
    "trace",
    "vet",
];

/// A command line whose downloads can be foreseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoCommand {
    /// Which subcommand.
    pub subcommand: Subcommand,
    /// GOFLAGS and the command's own flags.
    pub flags: Flags,
    /// What follows the flags.
    pub arguments: Vec<String>,
}

/// The subcommands that download modules, by what they ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subcommand {
    /// `go mod download`
    Download,
    /// `go build`, `install`, `run`, `test`, `vet`, `list` of packages: modules that provide packages.
    Packages,
    /// `go mod vendor`: the same, whatever is vendored now.
    Vendor,
    /// `go mod tidy`
    Tidy,
    /// `go mod graph`, `verify`, `why`, `go list -m`: the graph.
    Graph,
    /// `go get`
    Get,
}

impl GoCommand {
    /// Reads a command line, `argv[0]` included. `None` if the command downloads nothing that can be foreseen.
    pub fn parse<Word: AsRef<str>>(argv: &[Word], settings: &Settings) -> Option<Self> {
        let mut words = argv.iter().skip(1).map(AsRef::as_ref);
        let mut subcommand = match words.next()? {
            "build" | "install" | "run" | "test" | "vet" | "list" => Subcommand::Packages,
            "get" => Subcommand::Get,
            "mod" => match words.next()? {
                "download" => Subcommand::Download,
                "tidy" => Subcommand::Tidy,
                "vendor" => Subcommand::Vendor,
                "graph" | "verify" | "why" => Subcommand::Graph,
                _ => return None,
            },
            _ => return None,
        };
        let is_list = argv.get(1).is_some_and(|word| word.as_ref() == "list");
        let mut flags = settings.flags.clone();
        let mut arguments = Vec::new();
        while let Some(word) = words.next() {
            if word == "--" || !flags.take(word) {
                arguments.extend((word != "--").then(|| word.to_owned()));
                arguments.extend(words.by_ref().map(str::to_owned));
                break;
            }
            let name = word.trim_start_matches('-');
            if WITH_VALUE.contains(&name) {
                flags.set(name, words.next()?);
            }
        }
        if is_list && flags.is_on("m") {
            subcommand = Subcommand::Graph;
        }
        let elsewhere = subcommand == Subcommand::Packages
            && arguments.first().is_some_and(|word| word.contains('@'));
        // `go run PACKAGE@VERSION` does not look at the module around it.
        (!elsewhere && settings.go111module != "off").then_some(Self {
            subcommand,
            flags,
            arguments,
        })
    }

    /// The directory that `-C` names: all else is looked up from there.
    pub fn directory(&self) -> Option<&str> {
        self.flags.value("C")
    }

    /// The file that `-modfile` names in place of go.mod; its go.sum has `.sum` in place of `.mod`.
    pub fn mod_file(&self) -> Option<&str> {
        self.flags.value("modfile")
    }

    /// Whether a go.work file counts for this command.
    pub fn uses_workspace(&self) -> bool {
        !matches!(self.subcommand, Subcommand::Tidy | Subcommand::Get)
    }

    /// Whether nothing is downloaded, given that there is a `vendor` directory (that fits the go.mod or go.work file)
    /// or not, and that vendoring is the rule for the project's `go` line (1.14 and newer).
    pub(super) fn is_vendored(&self, vendor: bool, by_default: bool) -> bool {
        match (self.subcommand, self.flags.value("mod")) {
            (Subcommand::Packages, None) => vendor && by_default,
            (Subcommand::Graph, None) => vendor && by_default && self.flags.is_on("m"),
            (_, Some("vendor")) => true,
            _ => false,
        }
    }
}
