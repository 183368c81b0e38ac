// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room for maps and programs on kernels before 5.11, which count them as locked memory of the process (`ulimit -l`,
//! often 64 KiB to 8 MiB); newer ones count them in the memory cgroup.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// While it lives, this process may lock as much memory as it likes. The limit comes back with its end, because the
/// command inherits ours.
pub(super) struct Unlimited {
    before: Rlimit,
}

impl Unlimited {
    /// Without `CAP_SYS_RESOURCE` the limit stays as it is: loading will say whether it was too low.
    pub(super) fn begin() -> Self {
        let before = getrlimit(Resource::Memlock);
        let _ = setrlimit(
            Resource::Memlock,
            Rlimit {
                current: None,
                maximum: None,
            },
        );
        Self { before }
    }
}

impl Drop for Unlimited {
    fn drop(&mut self) {
        // Lowering is always allowed.
        let _ = setrlimit(Resource::Memlock, self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_old_one_afterwards() {
        let limits = || {
            let limit = getrlimit(Resource::Memlock);
            (limit.current, limit.maximum)
        };
        let before = limits();
        let unlimited = Unlimited::begin();
        // Root in a container may lack the capability.
        assert!([(None, None), before].contains(&limits()));
        drop(unlimited);
        assert_eq!(limits(), before);
    }
}
