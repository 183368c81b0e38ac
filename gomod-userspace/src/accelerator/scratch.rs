// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files for what does not fit into memory.

use std::fs::File;
use std::io;

/// Where a file may be had if not in TMPDIR: open to all (hier(7)).
const OPEN_TO_ALL: [&str; 2] = ["/tmp", "/var/tmp"];

/// A file without a name, in TMPDIR. That may be closed to us: the threads that carry traffic have no capabilities, so that
/// another user's directory is closed to them also where the agent is root.
pub(super) fn file() -> io::Result<File> {
    first_of(tempfile::tempfile(), &OPEN_TO_ALL)
}

fn first_of(preferred: io::Result<File>, others: &[&str]) -> io::Result<File> {
    preferred.or_else(|error| {
        others
            .iter()
            .find_map(|directory| tempfile::tempfile_in(directory).ok())
            .ok_or(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_directory_takes_the_place_of_one_that_is_closed() {
        let closed = || Err(io::ErrorKind::PermissionDenied.into());
        first_of(closed(), &["/nowhere", "/tmp"]).unwrap();
        let error = first_of(closed(), &["/nowhere"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
