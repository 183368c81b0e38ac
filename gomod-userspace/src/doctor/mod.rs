// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at this machine as a user's `go`, and a run of ours, would find it.
//!
//! Each file gathers the facts of one subject, and judges them apart from that: a [`Check`] says how one thing is, what
//! was found, and what to do about it. Nothing is changed: kernel programs are loaded and gone again, the overlay is tried
//! in a mount namespace that ends with its thread, and nameservers are asked for a name that `go` itself would ask for.

mod caches;
mod check;
mod go;
mod godebug;
mod kernel;
mod names;
pub mod place;
mod trust;

use std::thread;

pub use caches::{CacheFacts, DirectoryFacts, Room};
pub use check::{Check, State};
pub use go::GoFacts;
pub use kernel::KernelFacts;
pub use names::NameFacts;
pub use trust::{StoreFacts, TrustFacts};

use crate::launch::{Invoker, LaunchError};

/// Everything that is known of a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its kernel.
    pub kernel: KernelFacts,
    /// Its `go`.
    pub go: GoFacts,
    /// Its resolvers.
    pub names: NameFacts,
    /// Its certificate authorities.
    pub trust: TrustFacts,
    /// Its caches.
    pub caches: CacheFacts,
}

impl Machine {
    /// Looks at all of it, files with the rights of the user who called. Nameservers are not asked yet: see
    /// [`NameFacts::ask`].
    ///
    /// # Errors
    /// [`LaunchError::System`] if the caller's rights can't be taken on.
    pub fn gather(invoker: &Invoker) -> Result<Self, LaunchError> {
        // Loading the programs takes about as long as all the rest.
        thread::scope(|scope| {
            let kernel = scope.spawn(KernelFacts::gather);
            let of_caller = invoker.with_file_rights(|| {
                let (go, settings) = GoFacts::gather(invoker);
                let names = NameFacts::gather(go.settings.as_ref().ok());
                let caches = CacheFacts::gather(&settings);
                (go, names, caches)
            });
            let kernel = kernel
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (go, names, caches) = of_caller?;
            Ok(Self {
                trust: TrustFacts::gather(invoker, kernel.lacking.is_none()),
                kernel,
                go,
                names,
                caches,
            })
        })
    }

    /// Judges all of it, in an order that reads from the ground up.
    pub fn judge(&self) -> Vec<Check> {
        [
            self.kernel.judge(),
            self.go.judge(),
            self.names.judge(self.go.linking),
            self.trust.judge(),
            self.caches.judge(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
