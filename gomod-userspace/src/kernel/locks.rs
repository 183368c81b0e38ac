// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who holds a lock that a process waits for: `/proc/locks` (proc(5)).

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::events::Pid;

/// The holder of the flock on a file and its command line, if there is one.
pub(super) fn holder(path: &Path) -> io::Result<Option<(Pid, String)>> {
    let metadata = fs::metadata(path)?;
    let locks = fs::read_to_string("/proc/locks")?;
    let device = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    Ok(locks
        .lines()
        .find_map(|line| parse(line, device, metadata.ino()))
        .map(|pid| (pid, command_line(pid))))
}

/// Reads a line such as `3: FLOCK  ADVISORY  WRITE 4711 fe:00:131090 0 EOF`. A waiter's line has `->` as its
/// second word. The process number is the one that took the lock; it's gone if that process passed the
/// descriptor on and ended.
fn parse(line: &str, device: (u32, u32), inode: u64) -> Option<Pid> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u32::from_str_radix(file.next()?, 16).ok()?;
    let minor = u32::from_str_radix(file.next()?, 16).ok()?;
    let number: u64 = file.next()?.parse().ok()?;
    ((major, minor) == device && number == inode).then_some(Pid(pid))
}

fn command_line(pid: Pid) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(words.strip_suffix(&[0]).unwrap_or(&words)).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_holders_and_passes_over_waiters() {
        let line = "3: FLOCK  ADVISORY  WRITE 4711 fe:00:131090 0 EOF";
        assert_eq!(parse(line, (0xfe, 0), 131_090), Some(Pid(4711)));
        assert_eq!(parse(line, (0xfe, 1), 131_090), None);
        let waiter = "3: -> FLOCK  ADVISORY  WRITE 4712 fe:00:131090 0 EOF";
        assert_eq!(parse(waiter, (0xfe, 0), 131_090), None);
        let posix = "1: POSIX  ADVISORY  WRITE 12 fe:00:131090 0 EOF";
        assert_eq!(parse(posix, (0xfe, 0), 131_090), None);
        assert_eq!(parse("", (0, 0), 0), None);
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
