// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes above ours, as `/proc` shows them.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::LaunchError;

/// One process above ours.
#[derive(Clone, Debug, Default)]
pub(super) struct Ancestor {
    pub(super) pid: i32,
    pub(super) parent: i32,
    /// File name of the executable, without the ` (deleted)` of a replaced one; empty where unreadable.
    pub(super) executable: Vec<u8>,
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) real_uid: u32,
    pub(super) effective_uid: u32,
    pub(super) stdin_is_terminal: bool,
}

impl Ancestor {
    fn read(pid: i32) -> Result<Self, LaunchError> {
        let status = Status::read(pid)?;
        let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let executable = link("exe");
        let executable = executable
            .file_name()
            .map(OsStrExt::as_bytes)
            .unwrap_or_default();
        let argv = read(pid, "cmdline")?;
        Ok(Self {
            pid,
            parent: status.parent,
            executable: executable
                .strip_suffix(b" (deleted)")
                .unwrap_or(executable)
                .to_vec(),
            argv: split_nul(&argv),
            real_uid: status.real_uid,
            effective_uid: status.effective_uid,
            stdin_is_terminal: is_terminal(&link("fd/0")),
        })
    }
}

/// All ancestors, our parent first. An ancestor that ends while we look closes the list.
pub(super) fn ancestors() -> Result<Vec<Ancestor>, LaunchError> {
    let mut found = Vec::new();
    let mut pid = Status::read(own_pid())?.parent;
    while pid > 0 && found.len() < 4096 {
        match Ancestor::read(pid) {
            Ok(ancestor) => {
                pid = ancestor.parent;
                found.push(ancestor);
            }
            Err(LaunchError::Proc { source, .. }) if is_gone(&source) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(found)
}

/// The lines of `/proc/PID/status` that tell who a process is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) parent: i32,
    pub(super) real_uid: u32,
    pub(super) effective_uid: u32,
    pub(super) groups: Vec<u32>,
    /// `None` before Linux 4.7.
    pub(super) umask: Option<u32>,
}

impl Status {
    pub(super) fn read(pid: i32) -> Result<Self, LaunchError> {
        Ok(Self::parse(&String::from_utf8_lossy(&read(pid, "status")?)))
    }

    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let mut words = value.split_ascii_whitespace();
            match name {
                "PPid" => status.parent = number(words.next()),
                "Uid" => {
                    status.real_uid = number(words.next());
                    status.effective_uid = number(words.next());
                }
                "Groups" => status.groups = words.filter_map(|word| word.parse().ok()).collect(),
                "Umask" => {
                    status.umask = words
                        .next()
                        .and_then(|word| u32::from_str_radix(word, 8).ok());
                }
                _ => {}
            }
        }
        status
    }
}

/// A file of `/proc/PID`, whole.
pub(super) fn read(pid: i32, file: &'static str) -> Result<Vec<u8>, LaunchError> {
    fs::read(format!("/proc/{pid}/{file}")).map_err(|source| LaunchError::Proc {
        pid,
        file,
        source,
    })
}

/// The entries of a block of strings that each end in NUL; an empty entry between two NULs is kept.
pub(super) fn split_nul(block: &[u8]) -> Vec<Vec<u8>> {
    if block.is_empty() {
        return Vec::new();
    }
    let block = block.strip_suffix(b"\0").unwrap_or(block);
    block.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// When a process began, in clock ticks since boot (field 22 of `/proc/PID/stat`): with the pid it names a
/// process for good.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses; the numbers begin after the last one.
    stat.rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

pub(super) fn own_pid() -> i32 {
    std::process::id() as i32
}

fn number<T: std::str::FromStr + Default>(word: Option<&str>) -> T {
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn is_terminal(target: &Path) -> bool {
    let target = target.as_os_str().as_bytes();
    (target.starts_with(b"/dev/pts/") && target != b"/dev/pts/ptmx")
        || target.starts_with(b"/dev/tty")
        || target == b"/dev/console"
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_entries_of_a_block_are_kept() {
        assert_eq!(split_nul(b""), Vec::<Vec<u8>>::new());
        assert_eq!(
            split_nul(b"A=1\0\0B\0"),
            [b"A=1".to_vec(), b"".to_vec(), b"B".to_vec()]
        );
        assert_eq!(split_nul(b"\0"), [b"".to_vec()]);
    }

    #[test]
    fn status_tells_parent_ids_groups_and_umask() {
        let text = "Name:\tx (y)\nUmask:\t0027\nPPid:\t7\nUid:\t1001\t0\t0\t0\nGroups:\t4 24 \n";
        let expected = Status {
            parent: 7,
            real_uid: 1001,
            effective_uid: 0,
            groups: vec![4, 24],
            umask: Some(0o27),
        };
        assert_eq!(Status::parse(text), expected);
    }

    #[test]
    fn a_living_process_has_a_start_time_and_a_missing_one_none() {
        assert!(start_time(own_pid()).is_some());
        assert_eq!(start_time(i32::MAX), None);
    }
}
