// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading what `go` takes its settings from, where it does so itself: the environment, the file of `go env -w`,
//! GOROOT/go.env. [`golang::settings`](crate::golang::settings) says what they mean.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::golang::{
    BuildInfo, GoVersion,
    build_info::BuildInfoError,
    settings::{EnvFile, Environment, Sources, paths},
};

use super::{Invoker, search};

/// A file of settings larger than this is none.
const LARGEST: u64 = 1 << 20;

/// The `go` that the caller's PATH finds first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGo {
    /// Where PATH finds it.
    pub path: PathBuf,
    /// Symbolic links resolved.
    pub executable: PathBuf,
    /// What its linker wrote of it.
    pub build_info: Result<BuildInfo, BuildInfoError>,
}

impl FoundGo {
    /// Searches as `execvp` does; with the rights of the calling thread.
    pub fn find(invoker: &Invoker) -> Option<Self> {
        use std::os::unix::ffi::OsStringExt as _;
        search::candidates(c"go", invoker)
            .into_iter()
            .map(|candidate| PathBuf::from(std::ffi::OsString::from_vec(candidate.into_bytes())))
            .find_map(|path| {
                let executable = path.canonicalize().ok().filter(|file| file.is_file())?;
                let may = rustix::fs::accessat(
                    rustix::fs::CWD,
                    &executable,
                    rustix::fs::Access::EXEC_OK,
                    rustix::fs::AtFlags::EACCESS,
                );
                may.ok()?;
                let build_info = File::open(&executable)
                    .map_err(|_| BuildInfoError::Malformed {
                        what: "it can't be read",
                    })
                    .and_then(|file| BuildInfo::read(&file));
                Some(Self {
                    path,
                    executable,
                    build_info,
                })
            })
    }

    /// Its version, if it is the `go` command.
    pub fn version(&self) -> Option<GoVersion> {
        let info = self.build_info.as_ref().ok()?;
        info.is_go_command()
            .then(|| GoVersion::of_toolchain(&info.go_version))?
    }
}

/// What the settings of a `go` are read from, as it was found.
#[derive(Clone, Debug)]
pub struct GoSettings {
    /// The environment.
    pub environment: Environment,
    /// Where `go env -w` writes to.
    pub user_path: Option<PathBuf>,
    /// What is there.
    pub user_file: EnvFile,
    /// GOROOT, as `go` finds it.
    pub goroot: Option<PathBuf>,
    /// `go.env` there.
    pub goroot_file: EnvFile,
    /// The version of the `go`.
    pub version: Option<GoVersion>,
}

impl GoSettings {
    /// Of a `go` with this environment and resolved executable; with the rights of the calling thread.
    pub fn read(environment: Environment, executable: &Path, version: Option<GoVersion>) -> Self {
        let user_path = paths::user_file(&environment);
        let user_file = user_path.as_deref().map_or(EnvFile::Missing, env_file);
        let goroot = paths::goroot(&environment, &user_file, executable)
            .into_iter()
            .find(|candidate| candidate.certain || candidate.directory.join("pkg/tool").is_dir())
            .map(|candidate| candidate.directory);
        let goroot_file = goroot
            .as_ref()
            .map_or(EnvFile::Missing, |goroot| env_file(&goroot.join("go.env")));
        Self {
            environment,
            user_path,
            user_file,
            goroot,
            goroot_file,
            version,
        }
    }

    /// The same for those who know what it means.
    pub fn sources(&self) -> Sources<'_> {
        Sources {
            environment: &self.environment,
            user_file: &self.user_file,
            goroot_file: &self.goroot_file,
            go_version: self.version.as_ref(),
        }
    }
}

fn env_file(path: &Path) -> EnvFile {
    match read_bounded(path) {
        Ok(bytes) => EnvFile::Content { bytes },
        Err(error) if error.kind() == io::ErrorKind::NotFound => EnvFile::Missing,
        Err(error) => EnvFile::Unreadable {
            reason: error.to_string(),
            path: path.to_owned(),
        },
    }
}

/// A regular file of a size that such files have; nothing that could block.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("not a regular file of at most 1 MiB"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
