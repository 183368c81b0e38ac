// SPDX-License-Identifier: MIT OR Apache-2.0
//! A directory for one trial's files. If the trial fails, they are kept where `GOMOD_TRACE_E2E_KEEP` says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Names the directory where files of failed trials are kept.
const KEEP: &str = "GOMOD_TRACE_E2E_KEEP";

#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    trial: String,
}

impl Scratch {
    /// An empty directory in which every user may write, as the trials' commands run as different ones.
    pub(crate) fn new(trial: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("gomod-e2e-")
            .tempdir()
            .unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self {
            directory,
            trial: trial.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn keep(&self, directory: &Path) -> std::io::Result<()> {
        let target = directory.join(&self.trial);
        fs::create_dir_all(&target)?;
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), target.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = std::env::var_os(KEEP)
            && let Err(error) = self.keep(Path::new(&directory))
        {
            eprintln!("{}: files not kept: {error}", self.trial);
        }
    }
}
