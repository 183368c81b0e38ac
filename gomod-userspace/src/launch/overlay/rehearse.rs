// SPDX-License-Identifier: MIT OR Apache-2.0
//! Setting the overlay up for nobody, to see whether it would work.

use std::fs::File;
use std::io::{self, Read as _};
use std::panic::resume_unwind;
use std::thread;

use super::{OverlayError, OverlayStep, Refusal, TrustOverlay};

impl TrustOverlay {
    /// Covers the target in a mount namespace that only a thread of ours sees and that ends with it, and reads it there.
    /// Nothing changes for anybody.
    ///
    /// # Errors
    /// [`OverlayError::Refused`].
    pub fn rehearse(&self) -> Result<(), OverlayError> {
        thread::scope(|scope| {
            scope
                .spawn(|| self.apply().and_then(|()| self.read_back()))
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
        .map_err(|refusal| self.refused(refusal))
    }

    fn read_back(&self) -> Result<(), Refusal> {
        let file = if self.into_directory {
            self.target().join("gomod-trace.pem")
        } else {
            self.target().to_owned()
        };
        let mut content = Vec::new();
        let read = File::open(file).and_then(|mut file| file.read_to_end(&mut content));
        let errno = match read {
            Ok(_) if content == self.content => return Ok(()),
            Ok(_) => libc::ESTALE,
            Err(error) => io::Error::raw_os_error(&error).unwrap_or(libc::EIO),
        };
        Err(Refusal {
            step: OverlayStep::Open,
            errno,
        })
    }
}
