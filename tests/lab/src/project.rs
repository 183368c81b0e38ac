// SPDX-License-Identifier: MIT OR Apache-2.0
//! Go projects that use the lab's modules, with caches of their own.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use nix::unistd::{Gid, Uid, chown};
use tempfile::TempDir;

use crate::LabError;
use crate::addresses::PRIVATE;
use crate::fault::FaultKind;
use crate::lab::Lab;
use crate::modules::{MainModule, Module};
use crate::serve::login::{Login, PRIVATE_LOGIN};
use crate::sys::{Identity, lock_stdin_before_exec};
use crate::toolchain::Toolchain;

/// A project directory: `main/` with go.mod, go.sum and main.go; `home/`, `modcache/`, `buildcache/`, `gopath/` and `tmp/` beside it.
#[derive(Debug)]
pub struct Project<'lab> {
    lab: &'lab Lab,
    root: PathBuf,
    /// Removed with the project; none if the directory was the caller's.
    _temporary: Option<TempDir>,
    identity: Option<Identity>,
    /// What GOSUMDB is set to.
    checksum_database: String,
    held: Mutex<Vec<HeldLock>>,
}

impl<'lab> Project<'lab> {
    pub(crate) fn temporary(lab: &'lab Lab) -> Result<Self, LabError> {
        let directory = tempfile::Builder::new()
            .prefix("gomod-lab-")
            .tempdir()
            .map_err(|source| LabError::Project {
                path: std::env::temp_dir(),
                source,
            })?;
        // Other users' projects lie below: tempfile makes directories for their owner alone.
        set_mode(directory.path(), 0o755)?;
        let root = directory.path().to_owned();
        Self::furnish(lab, root, Some(directory))
    }

    pub(crate) fn in_directory(lab: &'lab Lab, directory: &Path) -> Result<Self, LabError> {
        make_directory(directory)?;
        let root = fs::canonicalize(directory).map_err(|source| LabError::Project {
            path: directory.to_owned(),
            source,
        })?;
        Self::furnish(lab, root, None)
    }

    fn furnish(
        lab: &'lab Lab,
        root: PathBuf,
        temporary: Option<TempDir>,
    ) -> Result<Self, LabError> {
        let project = Self {
            lab,
            root,
            _temporary: temporary,
            identity: None,
            checksum_database: "off".to_owned(),
            held: Mutex::default(),
        };
        for name in [
            "main",
            "home/.config/go/telemetry",
            "modcache",
            "buildcache",
            "gopath",
            "tmp",
        ] {
            make_directory(&project.root.join(name))?;
        }
        let main = MainModule(lab.required().collect());
        for (name, text) in [
            ("main/go.mod", main.go_mod()),
            ("main/go.sum", main.go_sum()),
            ("main/main.go", main.main_go()),
            (
                "home/.config/go/telemetry/mode",
                "off 2024-01-01\n".to_owned(),
            ),
        ] {
            write(&project.root.join(name), &text)?;
        }
        if !lab.private_modules().is_empty() {
            let netrc = project.home().join(".netrc");
            let Login { name, password } = PRIVATE_LOGIN;
            write(
                &netrc,
                &format!("machine {PRIVATE} login {name} password {password}\n"),
            )?;
            set_mode(&netrc, 0o600)?;
        }
        if lab
            .faults()
            .iter()
            .any(|fault| fault.kind == FaultKind::LockHeld)
            && let Some(module) = lab.modules().first()
        {
            let lock = project.hold_lock(module)?;
            project
                .held
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(lock);
        }
        Ok(project)
    }

    /// Where it all lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The main module's directory.
    pub fn directory(&self) -> PathBuf {
        self.root.join("main")
    }

    /// GOMODCACHE.
    pub fn module_cache(&self) -> PathBuf {
        self.root.join("modcache")
    }

    /// GOCACHE.
    pub fn build_cache(&self) -> PathBuf {
        self.root.join("buildcache")
    }

    /// HOME.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Empties the module cache.
    pub fn clear_module_cache(&self) -> Result<(), LabError> {
        let cache = self.module_cache();
        remove_read_only(&cache).map_err(|source| LabError::Project {
            path: cache.clone(),
            source,
        })?;
        make_directory(&cache)?;
        self.identity
            .map_or(Ok(()), |identity| give_away(&cache, identity))
    }

    /// The same without hashes in go.sum and with the lab's checksum database switched on, so that `go` asks it for them.
    pub fn without_sums(mut self) -> Result<Self, LabError> {
        write(&self.directory().join("go.sum"), "")?;
        self.lab
            .checksum_database()
            .clone_into(&mut self.checksum_database);
        Ok(self)
    }

    /// The same with a `toolchain` line in go.mod, and the lab's checksum database switched on, as `go` asks it for toolchains.
    pub fn asking_for(mut self, toolchain: &Toolchain) -> Result<Self, LabError> {
        let path = self.directory().join("go.mod");
        let failed = |source| LabError::Project {
            path: path.clone(),
            source,
        };
        let text = fs::read_to_string(&path).map_err(failed)?;
        let line = format!("\ntoolchain go{}\n\nrequire (", toolchain.version);
        write(&path, &text.replacen("\nrequire (", &line, 1))?;
        self.lab
            .checksum_database()
            .clone_into(&mut self.checksum_database);
        Ok(self)
    }

    /// Gives everything to another user, as whom [`Project::command`] then runs.
    pub fn owned_by(mut self, identity: Identity) -> Result<Self, LabError> {
        give_away(&self.root, identity)?;
        self.identity = Some(identity);
        Ok(self)
    }

    /// The environment of its commands, whole: nothing is inherited.
    pub fn environment(&self, toolchain: &Toolchain) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            (
                "PATH",
                format!(
                    "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    path(toolchain.root.join("bin"))
                ),
            ),
            ("HOME", path(self.home())),
            ("TMPDIR", path(self.root.join("tmp"))),
            ("LANG", "C.UTF-8".to_owned()),
            ("GOPROXY", format!("https://{}", crate::addresses::PROXY)),
            ("GOSUMDB", self.checksum_database.clone()),
            ("GOTOOLCHAIN", "local".to_owned()),
            ("GOMODCACHE", path(self.module_cache())),
            ("GOCACHE", path(self.build_cache())),
            ("GOPATH", path(self.root.join("gopath"))),
            ("CGO_ENABLED", "0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A command in the main module's directory, on the lab's client side, with [`Project::environment`].
    pub fn command(&self, toolchain: &Toolchain, program: impl AsRef<OsStr>) -> Command {
        self.command_with(toolchain, program, false)
    }

    /// The same, killed when the calling thread ends: for a program whose whole purpose the command is.
    pub fn foreground_command(&self, toolchain: &Toolchain, program: impl AsRef<OsStr>) -> Command {
        self.command_with(toolchain, program, true)
    }

    fn command_with(
        &self,
        toolchain: &Toolchain,
        program: impl AsRef<OsStr>,
        die_with_parent: bool,
    ) -> Command {
        let mut command = self
            .lab
            .command_with(program, self.identity, die_with_parent);
        command
            .current_dir(self.directory())
            .env_clear()
            .envs(self.environment(toolchain));
        command
    }

    /// `go` with `arguments`.
    pub fn go<S: AsRef<OsStr>>(
        &self,
        toolchain: &Toolchain,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.command(toolchain, toolchain.go());
        command.args(arguments);
        command
    }

    /// The lock that `go` takes while it downloads `module`.
    pub fn lock_file(&self, module: &Module) -> PathBuf {
        self.module_cache()
            .join("cache/download")
            .join(module.escaped_path())
            .join("@v")
            .join(format!("{}.lock", module.version))
    }

    /// Has another process hold that lock, until the value returned is dropped or the calling thread ends.
    pub fn hold_lock(&self, module: &Module) -> Result<HeldLock, LabError> {
        let path = self.lock_file(module);
        let failed = |source| LabError::Project {
            path: path.clone(),
            source,
        };
        make_directory(path.parent().unwrap_or(&self.root))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        if let Some(identity) = self.identity {
            give_away(&self.module_cache(), identity)?;
        }
        HeldLock::take(file).map_err(failed)
    }
}

/// A lock held by a process of its own. Dropped: the process ends and the lock is free.
#[derive(Debug)]
pub struct HeldLock(Child);

impl HeldLock {
    fn take(file: File) -> io::Result<Self> {
        let mut command = Command::new("sleep");
        command
            .arg("infinity")
            .stdin(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        lock_stdin_before_exec(&mut command);
        // spawn returns once the child has executed: the lock is taken by then.
        Ok(Self(command.spawn()?))
    }

    /// The process that holds it.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn make_directory(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|source| LabError::Project {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(|source| LabError::Project {
        path: path.to_owned(),
        source,
    })
}

fn set_mode(path: &Path, mode: u32) -> Result<(), LabError> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|source| {
        LabError::Project {
            path: path.to_owned(),
            source,
        }
    })
}

/// `go` makes the directories of its module cache read-only.
fn remove_read_only(path: &Path) -> io::Result<()> {
    // Root, which a lab needs, may remove below read-only directories.
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn give_away(path: &Path, identity: Identity) -> Result<(), LabError> {
    let failed = |source: io::Error| LabError::Project {
        path: path.to_owned(),
        source,
    };
    chown(
        path,
        Some(Uid::from_raw(identity.uid)),
        Some(Gid::from_raw(identity.gid)),
    )
    .map_err(|error| failed(error.into()))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).map_err(failed)? {
            give_away(&entry.map_err(failed)?.path(), identity)?;
        }
    }
    Ok(())
}
