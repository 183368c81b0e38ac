// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.mod and go.work, as far as they tell what `go mod download` fetches.
//!
//! Grammar: "Go Modules Reference", go.mod files; golang.org/x/mod/modfile. A line that is not understood gives an
//! error and is left out: a count from the rest is better than none.

use std::collections::BTreeSet;

use super::module_path::{ModuleVersion, check_path, check_version};

/// What a go.mod file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    /// The main module's path.
    pub module: Option<String>,
    /// The `go` line, such as `1.27.0`.
    pub go: Option<String>,
    /// The `toolchain` line, such as `go1.27.3`.
    pub toolchain: Option<String>,
    /// The `require` lines.
    pub requires: Vec<Require>,
    /// The `replace` lines.
    pub replaces: Vec<Replace>,
    /// The `exclude` lines.
    pub excludes: Vec<ModuleVersion>,
    /// Lines that were left out.
    pub errors: Vec<LineError>,
}

/// What a go.work file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoWork {
    /// The `go` line.
    pub go: Option<String>,
    /// The `toolchain` line.
    pub toolchain: Option<String>,
    /// Directories of the workspace's modules, relative to the file's own.
    pub uses: Vec<String>,
    /// The `replace` lines.
    pub replaces: Vec<Replace>,
    /// Lines that were left out.
    pub errors: Vec<LineError>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The module and its lowest version.
    pub module: ModuleVersion,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The module to be replaced.
    pub path: String,
    /// The version to be replaced; `None`: all.
    pub version: Option<String>,
    /// What stands in for it.
    pub with: Replacement,
}

/// What stands in for a replaced module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// A directory: nothing is downloaded.
    Directory(String),
    /// Another module.
    Module(ModuleVersion),
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl GoMod {
    /// Reads a go.mod file. Lines that are not understood are in [`Self::errors`].
    pub fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let text = String::from_utf8_lossy(bytes);
        file.errors = each_directive(&text, |verb, arguments, comment| {
            match (verb, arguments) {
                ("module", [path]) => file.module = Some(path.clone()),
                ("go", [version]) => file.go = Some(version.clone()),
                ("toolchain", [name]) => file.toolchain = Some(name.clone()),
                ("require", [path, version]) => file.requires.push(Require {
                    module: module_version(path, version)?,
                    indirect: is_indirect(comment),
                }),
                ("exclude", [path, version]) => file.excludes.push(module_version(path, version)?),
                ("replace", arguments) => file.replaces.push(replace(arguments)?),
                ("retract" | "godebug" | "tool" | "ignore", _) => {}
                _ => return Err(not_understood(verb)),
            }
            Ok(())
        });
        file
    }

    /// The module zips that `go mod download` fetches into an empty cache: the requirements, replaced and without
    /// the excluded ones, in order. All of them if [`Self::lists_whole_build`], else a lower bound.
    pub fn downloads(&self) -> BTreeSet<ModuleVersion> {
        self.requires
            .iter()
            .filter(|require| !self.excludes.contains(&require.module))
            .filter_map(|require| self.replaced(&require.module))
            .collect()
    }

    /// Whether the requirements are the whole build list: since `go 1.17` they are (module graph pruning).
    pub fn lists_whole_build(&self) -> bool {
        let Some((major, rest)) = self.go.as_deref().and_then(|go| go.split_once('.')) else {
            return false;
        };
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        matches!((major.parse::<u32>(), minor.parse::<u32>()), (Ok(major), Ok(minor)) if (major, minor) >= (1, 17))
    }

    /// What is downloaded in a module's place; `None`: a directory.
    fn replaced(&self, module: &ModuleVersion) -> Option<ModuleVersion> {
        let of_path = |replace: &&Replace| replace.path == module.path;
        let exact = self
            .replaces
            .iter()
            .filter(of_path)
            .find(|replace| replace.version.as_ref() == Some(&module.version));
        let found = exact.or_else(|| {
            self.replaces
                .iter()
                .filter(of_path)
                .find(|replace| replace.version.is_none())
        });
        match found.map(|replace| &replace.with) {
            None => Some(module.clone()),
            Some(Replacement::Module(with)) => Some(with.clone()),
            Some(Replacement::Directory(_)) => None,
        }
    }
}

impl GoWork {
    /// Reads a go.work file. Lines that are not understood are in [`Self::errors`].
    pub fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let text = String::from_utf8_lossy(bytes);
        file.errors = each_directive(&text, |verb, arguments, _| {
            match (verb, arguments) {
                ("go", [version]) => file.go = Some(version.clone()),
                ("toolchain", [name]) => file.toolchain = Some(name.clone()),
                ("use", [directory]) => file.uses.push(directory.clone()),
                ("replace", arguments) => file.replaces.push(replace(arguments)?),
                ("godebug", _) => {}
                _ => return Err(not_understood(verb)),
            }
            Ok(())
        });
        file
    }
}

/// Calls `act` with verb, arguments and comment of each directive, blocks unfolded; gives the lines it refused.
fn each_directive(
    text: &str,
    mut act: impl FnMut(&str, &[String], &str) -> Result<(), String>,
) -> Vec<LineError> {
    let mut errors = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let (mut tokens, comment) = match tokens(line) {
            Ok(split) => split,
            Err(reason) => {
                errors.push(LineError {
                    line: number,
                    reason,
                });
                continue;
            }
        };
        let outcome = match (&block, tokens.as_slice()) {
            (_, []) => Ok(()),
            (Some(_), [end]) if end == ")" => {
                block = None;
                Ok(())
            }
            (Some((_, verb)), arguments) => act(verb, arguments, comment),
            (None, [verb, open]) if open == "(" => {
                block = Some((number, verb.clone()));
                Ok(())
            }
            (None, [_, ..]) => {
                let verb = tokens.remove(0);
                act(&verb, &tokens, comment)
            }
        };
        if let Err(reason) = outcome {
            errors.push(LineError {
                line: number,
                reason,
            });
        }
    }
    if let Some((line, verb)) = block {
        errors.push(LineError {
            line,
            reason: format!("the block of {verb} is never closed"),
        });
    }
    errors
}

/// Words, quoted strings and parentheses of a line, and its comment.
fn tokens(line: &str) -> Result<(Vec<String>, &str), String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//") {
            return Ok((tokens, comment));
        }
        let (token, after) = match first {
            '(' | ')' => rest.split_at(1),
            '"' | '`' => rest[1..]
                .split_once(first)
                .ok_or("a quoted string does not end")?,
            _ => {
                let end = |(at, letter): (usize, char)| {
                    (letter.is_whitespace()
                        || "()\"`".contains(letter)
                        || rest[at..].starts_with("//"))
                    .then_some(at)
                };
                rest.split_at(rest.char_indices().find_map(end).unwrap_or(rest.len()))
            }
        };
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    Ok((tokens, ""))
}

/// `// indirect`, perhaps with more behind a semicolon.
fn is_indirect(comment: &str) -> bool {
    comment
        .split(';')
        .next()
        .is_some_and(|first| first.trim() == "indirect")
}

fn replace(arguments: &[String]) -> Result<Replace, String> {
    let arrow = arguments
        .iter()
        .position(|token| token == "=>")
        .ok_or("replace without =>")?;
    let (path, version) = match &arguments[..arrow] {
        [path] => (path, None),
        [path, version] => (path, Some(version.clone())),
        _ => {
            return Err("replace needs a module path, and perhaps a version, before =>".to_owned());
        }
    };
    let with = match &arguments[arrow + 1..] {
        [directory] => Replacement::Directory(directory.clone()),
        [path, version] => Replacement::Module(module_version(path, version)?),
        _ => {
            return Err(
                "replace needs a directory, or a module path and version, after =>".to_owned(),
            );
        }
    };
    Ok(Replace {
        path: path.clone(),
        version,
        with,
    })
}

fn module_version(path: &str, version: &str) -> Result<ModuleVersion, String> {
    check_path(path).map_err(|error| error.to_string())?;
    check_version(version).map_err(|error| error.to_string())?;
    Ok(ModuleVersion {
        path: path.to_owned(),
        version: version.to_owned(),
    })
}

fn not_understood(verb: &str) -> String {
    format!("{verb:?} is no directive, or has a wrong number of arguments")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &[u8] = br#"// A comment.
module "example.com/m" // the main one

go 1.21.0
toolchain go1.27.3

require example.com/one v1.0.0
require (
	example.com/Two v1.2.0 // indirect
	example.com/three v1.3.0 // indirect; comment
	example.com/local v1.4.0
	example.com/fork v1.5.0
	example.com/out v1.6.0
)

replace example.com/local => ../local
replace (
	example.com/fork v1.5.0 => example.com/Forked v1.5.1
	example.com/fork => ./never
)
exclude example.com/out v1.6.0
retract [v1.0.0, v1.1.0] // broken
tool example.com/one/cmd
"#;

    fn at(path: &str, version: &str) -> ModuleVersion {
        ModuleVersion {
            path: path.into(),
            version: version.into(),
        }
    }

    #[test]
    fn counts_what_will_be_downloaded() {
        let file = GoMod::parse(FILE);
        assert_eq!(file.errors, []);
        assert_eq!(file.module.as_deref(), Some("example.com/m"));
        assert_eq!(file.toolchain.as_deref(), Some("go1.27.3"));
        assert_eq!(
            file.requires
                .iter()
                .filter(|require| require.indirect)
                .count(),
            2
        );
        let expected = [
            at("example.com/Forked", "v1.5.1"),
            at("example.com/Two", "v1.2.0"),
            at("example.com/one", "v1.0.0"),
            at("example.com/three", "v1.3.0"),
        ];
        assert_eq!(file.downloads(), BTreeSet::from(expected));
        assert!(file.lists_whole_build());
    }

    #[test]
    fn before_pruning_the_list_is_not_whole() {
        for (go, whole) in [
            ("1.16", false),
            ("1.17", true),
            ("1.21rc2", true),
            ("1.9", false),
            ("2.0", true),
            ("x", false),
        ] {
            assert_eq!(
                GoMod::parse(format!("go {go}\n").as_bytes()).lists_whole_build(),
                whole,
                "{go}"
            );
        }
        assert!(!GoMod::parse(b"module a.b\n").lists_whole_build());
    }

    #[test]
    fn a_wrong_line_is_named_and_the_rest_is_kept() {
        let file = GoMod::parse(b"module a.b/c\nrequire x.y/z\nrequire x.y/z latest\nfoo\nrequire (\n\tx.y/z v1.0.0\n\t\"x\n");
        assert_eq!(file.requires.len(), 1);
        let lines: Vec<_> = file.errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [2, 3, 4, 7, 5]);
        assert!(
            file.errors[1].to_string().starts_with("line 3: \"latest\""),
            "{}",
            file.errors[1]
        );
    }

    #[test]
    fn a_workspace_lists_its_modules() {
        let file =
            GoWork::parse(b"go 1.22\nuse ./a\nuse (\n\t../b\n\t`c d`\n)\nreplace x.y/z => ./z\n");
        assert_eq!(
            (file.uses, file.replaces.len(), file.errors.len()),
            (vec!["./a".into(), "../b".into(), "c d".into()], 1, 0)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in "[a-z(){}\"`/ \n\t=>.ü]{0,200}") {
            let _ = GoMod::parse(&bytes).downloads();
            let _ = GoMod::parse(text.as_bytes()).downloads();
            let _ = GoWork::parse(text.as_bytes());
        }

        #[test]
        fn changed_files_never_panic(at in 0usize..600, byte: u8, len in 0usize..700) {
            let mut bytes = FILE.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(len);
            let _ = GoMod::parse(&bytes).downloads();
        }
    }
}
