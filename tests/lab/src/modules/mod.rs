// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generated modules: the same specification gives the same bytes and hashes, everywhere and every time.

pub(crate) mod checksum_database;
mod dirhash;
mod generate;
mod main_module;
mod source;
mod toolchain;
mod zip;

use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;

pub(crate) use generate::{GO, generate};
pub(crate) use main_module::MainModule;
pub(crate) use source::Source;

use crate::LabError;
use crate::addresses::DIRECT;
use crate::toolchain::Toolchain;

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

    /// Its two lines of go.sum, each with its end.
    pub fn go_sum(&self) -> [String; 2] {
        let Self {
            path,
            version,
            sums: [files, go_mod],
            ..
        } = self;
        [
            format!("{path} {version} {files}\n"),
            format!("{path} {version}/go.mod {go_mod}\n"),
        ]
    }

    /// Bytes of its zip.
    pub fn zip_bytes(&self) -> u64 {
        self.zip.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// Modules by the paths they are asked for.
#[derive(Debug, Default)]
pub(crate) struct ModuleSet {
    /// Those that projects require.
    pub(crate) modules: Vec<Module>,
    /// Those that are served as well.
    further: Vec<Module>,
    by_escaped_path: HashMap<String, usize>,
}

impl ModuleSet {
    pub(crate) fn new(modules: Vec<Module>, further: Vec<Module>) -> Self {
        let by_escaped_path = modules
            .iter()
            .chain(&further)
            .enumerate()
            .map(|(index, module)| (module.escaped_path(), index))
            .collect();
        Self {
            modules,
            further,
            by_escaped_path,
        }
    }

    /// All that are served, in a lasting order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().chain(&self.further)
    }

    pub(crate) fn find(&self, escaped_path: &str) -> Option<&Module> {
        self.position(escaped_path)
            .and_then(|index| self.all().nth(index))
    }

    /// Its place in [`Self::all`].
    pub(crate) fn position(&self, escaped_path: &str) -> Option<usize> {
        self.by_escaped_path.get(escaped_path).copied()
    }
}

/// The modules of `specification`; generated once in a process, however many labs serve them.
pub(crate) fn shared(specification: Modules) -> Vec<Module> {
    static KNOWN: Known<Modules, Vec<Module>> = Known::new();
    KNOWN.get(specification, || {
        generate(specification, DIRECT)
            .into_iter()
            .map(Source::pack)
            .collect()
    })
}

/// A module with files of `bytes` together; made once in a process.
pub(crate) fn large(bytes: u32) -> Module {
    static KNOWN: Known<u32, Module> = Known::new();
    KNOWN.get(bytes, || generate::large(bytes).pack())
}

/// A toolchain as a module; packed once in a process.
pub(crate) fn of_toolchain(toolchain: &Toolchain) -> Result<Module, LabError> {
    static KNOWN: Known<String, Module> = Known::new();
    let source = toolchain::source(toolchain)?;
    Ok(KNOWN.get(toolchain.version.clone(), || source.pack()))
}

/// What is costly to make, by what it is made from. Values are cheap to clone: bodies are shared.
struct Known<Key, Value>(OnceLock<Mutex<HashMap<Key, Value>>>);

impl<Key: Eq + Hash, Value: Clone> Known<Key, Value> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn get(&self, key: Key, make: impl FnOnce() -> Value) -> Value {
        let mut known = self
            .0
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_insert_with(make).clone()
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
