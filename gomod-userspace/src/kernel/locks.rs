// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who holds a lock that a process waits for: `/proc/locks` (proc(5)).

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::events::Pid;

/// A lock of flock(2) that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// The process that took it; it's gone if that process passed the descriptor on and ended.
    pub(super) holder: Pid,
    device: (u32, u32),
    /// The locked file.
    pub(super) inode: u64,
}

impl Lock {
    /// Whether the file is on the file system with this number (stat(2)).
    pub(super) fn is_on(&self, device: u64) -> bool {
        self.device == (rustix::fs::major(device), rustix::fs::minor(device))
    }
}

/// All that are held on this machine, as far as the pid namespace shows them.
pub(super) fn held() -> io::Result<Vec<Lock>> {
    let locks = fs::read_to_string("/proc/locks")?;
    Ok(locks.lines().filter_map(parse).collect())
}

/// The holder of the flock on a file and its command line, if there is one.
pub(super) fn holder(path: &Path) -> io::Result<Option<(Pid, String)>> {
    let metadata = fs::metadata(path)?;
    Ok(held()?
        .iter()
        .find(|lock| lock.is_on(metadata.dev()) && lock.inode == metadata.ino())
        .map(|lock| (lock.holder, command_line(lock.holder))))
}

/// Reads a line such as `3: FLOCK  ADVISORY  WRITE 4711 fe:00:131090 0 EOF`. A waiter's line has `->` as its
/// second word.
fn parse(line: &str) -> Option<Lock> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    Some(Lock {
        holder: Pid(pid),
        device: (major, minor),
        inode: file.next()?.parse().ok()?,
    })
}

/// Words joined by spaces; empty if unknown.
pub(super) fn command_line(pid: Pid) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(words.strip_suffix(&[0]).unwrap_or(&words)).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_holders_and_passes_over_waiters() {
        let lock = parse("3: FLOCK  ADVISORY  WRITE 4711 fe:00:131090 0 EOF").unwrap();
        assert_eq!((lock.holder, lock.inode), (Pid(4711), 131_090));
        assert!(lock.is_on(rustix::fs::makedev(0xfe, 0)));
        assert!(!lock.is_on(rustix::fs::makedev(0xfe, 1)));
        let waiter = "3: -> FLOCK  ADVISORY  WRITE 4712 fe:00:131090 0 EOF";
        assert_eq!(parse(waiter), None);
        let posix = "1: POSIX  ADVISORY  WRITE 12 fe:00:131090 0 EOF";
        assert_eq!(parse(posix), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn names_this_process_as_the_holder_of_its_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()).unwrap(), None);
        rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::LockExclusive).unwrap();
        let (pid, command) = holder(file.path()).unwrap().unwrap();
        assert_eq!(pid, Pid(std::process::id()));
        assert!(!command.is_empty());
    }
}
