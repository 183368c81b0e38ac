// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving up what only the start needed.

use caps::{CapSet, Capability, CapsHashSet};

/// What a running agent still needs (capabilities(7)): to pass on signals to processes of the caller, to write the
/// report with the caller's rights, to remove the cgroup, to read `/proc` of traced processes.
const KEPT: [Capability; 5] = [
    Capability::CAP_KILL,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_SYS_PTRACE,
];

/// Drops every other capability of the calling thread, for good. To be called once programs are attached and the
/// command is started.
///
/// Before 5.19 a kernel with `unprivileged_bpf_disabled` wants `CAP_BPF` for each look into a map; there nothing is
/// dropped. `Ok(false)` says so.
pub fn drop_privileges(kernel: (u32, u32)) -> Result<bool, caps::errors::CapsError> {
    if kernel < (5, 19) {
        return Ok(false);
    }
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = KEPT.into_iter().filter(|cap| held.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_kept() {
        // Capabilities belong to a thread: this one's end with it.
        std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            assert!(!drop_privileges((5, 18)).unwrap());
            assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), before);
            assert!(drop_privileges((6, 1)).unwrap());
            for set in [CapSet::Permitted, CapSet::Effective] {
                let after = caps::read(None, set).unwrap();
                assert!(after.iter().all(|cap| KEPT.contains(cap)), "{after:?}");
            }
        })
        .join()
        .unwrap();
    }
}
