// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things lie: the checkout, the target directory and what we install below it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process;

/// The directories every command works in.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target directory, as cargo itself resolves it.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's configuration files count.
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask must lie in the workspace")?
            .to_path_buf();
        let mut metadata = Command::new(cargo());
        metadata
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .current_dir(&root);
        let metadata: serde_json::Value = serde_json::from_str(&process::capture(&mut metadata)?)
            .context("reading the output of `cargo metadata`")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("`cargo metadata` named no target_directory")?;
        Ok(Self {
            root,
            target: target.into(),
        })
    }

    /// Root of `cargo install` for the tools we need: `bin/` below it holds them.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// A tool on `PATH`, or one that we installed.
    pub(crate) fn find_tool(&self, name: &str) -> Option<PathBuf> {
        process::find_on_path(name)
            .or_else(|| Some(self.tools().join("bin").join(name)).filter(|path| path.is_file()))
    }

    /// Go toolchains, one directory a version.
    pub(crate) fn go(&self) -> PathBuf {
        self.target.join("go")
    }

    /// A binary of the workspace as cargo builds it for the profile directory `profile` (`debug` or `release`).
    pub(crate) fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }

    /// `cargo` on the checkout, without what `cargo run` told us about ourselves.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command
            .current_dir(&self.root)
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_PATH");
        command
    }
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
