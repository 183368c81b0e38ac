// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `/proc` adds to an exec: the kernel programs give ids and a name, `/proc` the resolved executable, the
//! arguments and the working directory, and the executable itself says whether it is the `go` command.

use std::{
    collections::HashMap,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{
    Missing,
    events::{Exec, Pid},
};
use crate::golang::build_info::BuildInfo;

/// Completes execs; remembers the `go` executables it has looked into.
#[derive(Debug)]
pub(super) struct Processes {
    /// The kernel's process numbers are those of our `/proc`.
    numbered_alike: bool,
    go_versions: HashMap<Executable, Option<String>>,
    working_directories: HashMap<Pid, PathBuf>,
}

/// Identity of an executable file: device, inode and modification time.
type Executable = (u64, u64, i64);

/// What is lost in a pid namespace of our own: the kernel programs see the numbers of the initial one, under which our
/// `/proc` shows nothing, or somebody else.
pub fn missing_in_pid_namespace() -> Option<Missing> {
    /// `PROC_PID_INIT_INO` (`include/linux/proc_ns.h`).
    const INITIAL: &str = "pid:[4026531836]";
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    (own.as_os_str() != INITIAL).then(|| Missing {
        program: "process_exec",
        lost: "arguments, working directories and Go versions of processes, waits for locks",
        reason: "this is a pid namespace of its own; in a container, add `--pid=host`".to_owned(),
    })
}

impl Processes {
    /// `numbered_alike`: not in a pid namespace of our own.
    pub(super) fn new(numbered_alike: bool) -> Self {
        Self {
            numbered_alike,
            go_versions: HashMap::new(),
            working_directories: HashMap::new(),
        }
    }

    /// Adds what `/proc` tells. A process that is gone already keeps what the kernel gave.
    pub(super) fn complete(&mut self, pid: Pid, exec: &mut Exec) {
        if !self.numbered_alike {
            return;
        }
        let proc = PathBuf::from(format!("/proc/{pid}"));
        if let Ok(cmdline) = fs::read(proc.join("cmdline")) {
            exec.argv = cmdline
                .strip_suffix(&[0])
                .unwrap_or(&cmdline)
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
        }
        exec.cwd = fs::read_link(proc.join("cwd")).ok();
        if let Some(cwd) = &exec.cwd {
            self.working_directories.insert(pid, cwd.clone());
        }
        let link = proc.join("exe");
        if let Ok(exe) = fs::read_link(&link) {
            exec.exe = without_deleted_mark(exe);
        }
        if exec.exe.file_name().is_some_and(|name| name == "go") {
            exec.go_version = self.go_version(&link);
        }
    }

    /// Working directory of a process at its last exec.
    pub(super) fn working_directory(&self, pid: Pid) -> Option<&Path> {
        self.working_directories.get(&pid).map(PathBuf::as_path)
    }

    /// Forgets a process that has ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.working_directories.remove(&pid);
    }

    fn go_version(&mut self, link: &Path) -> Option<String> {
        let file = fs::File::open(link).ok()?;
        let metadata = file.metadata().ok()?;
        let identity = (metadata.dev(), metadata.ino(), metadata.mtime());
        self.go_versions
            .entry(identity)
            .or_insert_with(|| {
                BuildInfo::read(&file)
                    .ok()
                    .filter(BuildInfo::is_go_command)
                    .map(|info| info.go_version)
            })
            .clone()
    }
}

/// `/proc/PID/exe` of a replaced executable ends in " (deleted)" (proc(5)).
fn without_deleted_mark(exe: PathBuf) -> PathBuf {
    let bytes = exe.into_os_string().into_vec();
    let bytes = bytes
        .strip_suffix(b" (deleted)")
        .map_or_else(|| bytes.clone(), <[u8]>::to_vec);
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_an_exec_of_this_process() {
        let mut exec = Exec {
            exe: "given".into(),
            ..Exec::default()
        };
        let pid = Pid(std::process::id());
        let mut processes = Processes::new(true);
        processes.complete(pid, &mut exec);
        assert_eq!(exec.exe, std::env::current_exe().unwrap());
        assert_eq!(exec.argv.first(), std::env::args().next().as_ref());
        assert_eq!(exec.cwd, std::env::current_dir().ok());
        assert_eq!(exec.go_version, None);
        assert_eq!(
            processes.working_directory(pid),
            std::env::current_dir().ok().as_deref()
        );
    }

    #[test]
    fn keeps_the_given_name_of_a_process_that_is_gone() {
        let mut exec = Exec {
            exe: "/bin/true".into(),
            ..Exec::default()
        };
        Processes::new(true).complete(Pid(u32::MAX), &mut exec);
        assert_eq!(exec.exe, Path::new("/bin/true"));
        assert!(exec.argv.is_empty());
    }

    #[test]
    fn nobody_elses_facts_are_taken_in_a_pid_namespace() {
        let mut exec = Exec {
            exe: "/bin/true".into(),
            ..Exec::default()
        };
        Processes::new(false).complete(Pid(std::process::id()), &mut exec);
        assert_eq!(exec.exe, Path::new("/bin/true"));
        assert!(exec.argv.is_empty() && exec.cwd.is_none());
    }
}
