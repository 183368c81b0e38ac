// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module files and their locks.

use std::path::PathBuf;

use super::{CACHE, Script};
use crate::kernel::events::{EventKind, File, FileOperation, Pid};

impl Script {
    fn file(self, operation: FileOperation, result: i32, flags: u32, name: &str) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::File(File {
            tid: 1,
            operation,
            result,
            flags,
            path,
        }))
    }

    /// Looks for `MODULE/@v/VERSION.KIND` in vain.
    pub(crate) fn missing(self, name: &str) -> Self {
        self.file(FileOperation::Open, -2, 0, name)
    }

    /// Makes the temporary file.
    pub(crate) fn temporary(self, name: &str) -> Self {
        self.file(FileOperation::Open, 7, 0o302, &format!("{name}123456.tmp"))
    }

    /// Reads the temporary file back.
    pub(crate) fn read_back(self, name: &str) -> Self {
        self.file(FileOperation::Open, 8, 0, &format!("{name}123456.tmp"))
    }

    pub(crate) fn size(self, name: &str, bytes: u64) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}123456.tmp"));
        self.push(EventKind::FileSize { path, bytes })
    }

    /// The size under the final name.
    pub(crate) fn final_size(self, name: &str, bytes: u64) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::FileSize { path, bytes })
    }

    pub(crate) fn completed(self, name: &str) -> Self {
        self.file(FileOperation::Rename, 0, 0, name)
    }

    pub(crate) fn discarded(self, name: &str) -> Self {
        self.file(FileOperation::Unlink, 0, 0, &format!("{name}123456.tmp"))
    }

    pub(crate) fn lock_wait(self, name: &str) -> Self {
        self.file(FileOperation::LockWait, 0, 2, name)
    }

    pub(crate) fn lock_done(self, name: &str) -> Self {
        self.file(FileOperation::LockDone, 0, 2, name)
    }

    pub(crate) fn lock_holder(self, name: &str, holder: u32, command: &str) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::LockHolder {
            path,
            holder: Pid(holder),
            command: command.to_owned(),
        })
    }
}
