// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generated modules: the same specification gives the same bytes and hashes, everywhere and every time.

pub(crate) mod checksum_database;
mod dirhash;
mod generate;
mod zip;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

pub(crate) use generate::GO;
use generate::generate;

/// How many modules of what size a lab serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Modules {
    /// How many; at most 5000.
    pub count: u16,
    /// Bytes of an average module's zip. Sizes range from a fifth of this to about double.
    pub average_bytes: u32,
    /// Different seeds give different contents.
    pub seed: u64,
}

impl Modules {
    /// Twelve modules of about 20 KB: for tests of behaviour.
    pub const fn small() -> Self {
        Self {
            count: 12,
            average_bytes: 20_000,
            seed: 1,
        }
    }

    /// 150 modules, 50 MB together: for measurements.
    pub const fn large() -> Self {
        Self {
            count: 150,
            average_bytes: 333_000,
            seed: 1,
        }
    }

    /// `count` modules of about 20 KB.
    pub const fn many(count: u16) -> Self {
        Self {
            count,
            ..Self::small()
        }
    }
}

impl Default for Modules {
    fn default() -> Self {
        Self::small()
    }
}

/// One generated module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its path, such as `code.example.org/lab/m003`.
    pub path: String,
    /// Its only version.
    pub version: String,
    pub(crate) go_mod: Bytes,
    pub(crate) info: Bytes,
    /// The zip, in pieces shared by all modules.
    pub(crate) zip: Vec<Bytes>,
    /// go.sum's two hashes: of the zip's files, of go.mod.
    pub(crate) sums: [String; 2],
}

impl Module {
    /// Path as the proxy protocol and the module cache write it: upper-case letters become `!` and the lower-case one.
    pub fn escaped_path(&self) -> String {
        escape(&self.path)
    }

    /// Its files' paths at a module proxy, below the proxy's address: `.mod`, `.info`, `.zip`.
    pub fn proxy_paths(&self) -> [String; 3] {
        let stem = format!("{}/@v/{}", self.escaped_path(), self.version);
        ["mod", "info", "zip"].map(|kind| format!("{stem}.{kind}"))
    }

    pub(crate) fn write_below(&self, directory: &Path) -> io::Result<()> {
        let [go_mod, info, zip] = self.proxy_paths().map(|path| directory.join(path));
        if let Some(parent) = go_mod.parent() {
            fs::create_dir_all(parent)?;
            fs::write(parent.join("list"), format!("{}\n", self.version))?;
        }
        fs::write(go_mod, &self.go_mod)?;
        fs::write(info, &self.info)?;
        let mut file = fs::File::create(zip)?;
        self.zip.iter().try_for_each(|piece| file.write_all(piece))
    }

    /// Bytes of its zip.
    pub fn zip_bytes(&self) -> u64 {
        self.zip.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// All modules of a lab.
#[derive(Debug)]
pub(crate) struct ModuleSet {
    pub(crate) modules: Vec<Module>,
    by_escaped_path: HashMap<String, usize>,
}

impl ModuleSet {
    /// The modules of `specification`; generated once in a process, however many labs serve them.
    pub(crate) fn shared(specification: Modules) -> Arc<Self> {
        static KNOWN: OnceLock<Mutex<HashMap<Modules, Arc<ModuleSet>>>> = OnceLock::new();
        let mut known = KNOWN
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(specification).or_insert_with(|| {
            let modules = generate(specification);
            let by_escaped_path = modules
                .iter()
                .enumerate()
                .map(|(index, module)| (module.escaped_path(), index))
                .collect();
            Arc::new(Self {
                modules,
                by_escaped_path,
            })
        }))
    }

    pub(crate) fn find(&self, escaped_path: &str) -> Option<&Module> {
        self.by_escaped_path
            .get(escaped_path)
            .and_then(|index| self.modules.get(*index))
    }

    /// A go.mod that requires all of them.
    pub(crate) fn main_go_mod(&self, go: &str) -> String {
        let mut text = format!("module example.com/project\n\ngo {go}\n\nrequire (\n");
        for module in &self.modules {
            // Writing to a String does not fail.
            let _ = writeln!(text, "\t{} {}", module.path, module.version);
        }
        text.push_str(")\n");
        text
    }

    /// The go.sum to that go.mod.
    pub(crate) fn go_sum(&self) -> String {
        let mut lines = Vec::with_capacity(self.modules.len() * 2);
        for Module {
            path,
            version,
            sums: [files, go_mod],
            ..
        } in &self.modules
        {
            lines.push(format!("{path} {version} {files}\n"));
            lines.push(format!("{path} {version}/go.mod {go_mod}\n"));
        }
        lines.sort();
        lines.concat()
    }

    /// A program that uses all of them.
    pub(crate) fn main_go(&self) -> String {
        let mut text = "package main\n\nimport (\n".to_owned();
        for (number, module) in self.modules.iter().enumerate() {
            let _ = writeln!(text, "\tm{number} \"{}\"", module.path);
        }
        text.push_str(")\n\nfunc main() {\n\tsum := 0\n");
        for number in 0..self.modules.len() {
            let _ = writeln!(text, "\tsum += m{number}.Number()");
        }
        text.push_str("\tprintln(sum)\n}\n");
        text
    }
}

/// Module path escaping of golang.org/x/mod/module.
pub(crate) fn escape(path: &str) -> String {
    path.chars()
        .flat_map(|letter| {
            letter
                .is_ascii_uppercase()
                .then_some('!')
                .into_iter()
                .chain([letter.to_ascii_lowercase()])
        })
        .collect()
}
