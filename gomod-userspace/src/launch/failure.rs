// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the new process tells us that it could not become the command.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use super::Step;

/// A failed step, as it goes through the pipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: i32,
    /// Of [`Step::Exec`], the index of the file that was tried; of [`Step::Trust`], which part of it.
    pub(super) detail: u32,
}

impl Failure {
    pub(super) fn now(step: Step) -> Self {
        Self {
            step,
            errno: nix::errno::Errno::last_raw(),
            detail: 0,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&(self.step as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.errno.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.detail.to_ne_bytes());
        bytes
    }

    /// Waits for exec, which closes the pipe without a word.
    pub(super) fn receive(pipe: OwnedFd) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        File::from(pipe).read_to_end(&mut bytes)?;
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Ok((|| {
            Some(Self {
                step: Step::from_raw(word(0)?),
                errno: word(4)? as i32,
                detail: word(8)?,
            })
        })())
    }
}
