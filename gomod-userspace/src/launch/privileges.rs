// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving up what only the start needed. Capabilities belong to a thread, which hands them on to those that it starts
//! (capabilities(7)): each gives up its own.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// What a thread is there for, once it is set up; it keeps the capabilities for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// To run the agent: to pass on signals to processes of the caller, to write the report with the caller's rights, to
    /// remove the cgroup, to read `/proc` of traced processes, to look into maps.
    Agent,
    /// To write the files of a caller who is root.
    Files,
    /// To carry connections: to ask a map of the kernel programs whom each was to.
    Carrying,
    /// Nothing that takes a capability: sockets that are open, or that anybody may open; files of the thread's own user.
    Plain,
}

impl Duty {
    fn kept(self, kernel: (u32, u32)) -> &'static [Capability] {
        const AGENT: [Capability; 6] = [
            Capability::CAP_KILL,
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            Capability::CAP_DAC_OVERRIDE,
            Capability::CAP_SYS_PTRACE,
            Capability::CAP_BPF,
        ];
        // Before 5.19 a kernel with `unprivileged_bpf_disabled` wants `CAP_BPF` for each look into a map.
        let maps_are_free = kernel >= (5, 19);
        match self {
            Self::Agent if maps_are_free => &AGENT[..5],
            Self::Agent => &AGENT,
            Self::Files => &[Capability::CAP_DAC_OVERRIDE],
            Self::Carrying if !maps_are_free => &[Capability::CAP_BPF],
            Self::Carrying | Self::Plain => &[],
        }
    }
}

/// Drops all capabilities of the calling thread that it does not need for `duty`, for good. To be called once programs are
/// attached and the command is started, or first thing on a thread of its own.
///
/// A thread that runs as root would get all of them back by starting another program, unless it does without new privileges
/// (`PR_SET_NO_NEW_PRIVS`, prctl(2)); all but the agent's own do, as none of them starts any.
pub fn drop_privileges(duty: Duty, kernel: (u32, u32)) -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let needed = duty.kept(kernel).iter().copied();
    let kept: CapsHashSet = needed.filter(|cap| held.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    if duty != Duty::Agent {
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| format!("prctl(PR_SET_NO_NEW_PRIVS): {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a thread of its own, whose capabilities end with it, still has.
    fn left(duty: Duty, kernel: (u32, u32)) -> CapsHashSet {
        std::thread::spawn(move || {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            drop_privileges(duty, kernel).unwrap();
            let [permitted, effective, inheritable] =
                [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable]
                    .map(|set| caps::read(None, set).unwrap());
            assert_eq!(permitted, effective);
            assert!(inheritable.is_empty() && permitted.is_subset(&before));
            let expected = duty.kept(kernel).iter().copied();
            let expected: CapsHashSet = expected.filter(|cap| before.contains(cap)).collect();
            assert_eq!(permitted, expected, "{duty:?}");
            assert_eq!(rustix::thread::no_new_privs().unwrap(), duty != Duty::Agent);
            permitted
        })
        .join()
        .unwrap()
    }

    #[test]
    fn only_what_is_needed_is_kept() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        for duty in [Duty::Agent, Duty::Files, Duty::Carrying, Duty::Plain] {
            for kernel in [(5, 18), (5, 19), (6, 1)] {
                let left = left(duty, kernel);
                assert!(!left.contains(&Capability::CAP_SYS_ADMIN));
            }
        }
        for kernel in [(5, 18), (5, 19)] {
            assert_eq!(left(Duty::Plain, kernel), CapsHashSet::new());
        }
        assert_eq!(left(Duty::Carrying, (5, 19)), CapsHashSet::new());
        assert!(
            left(Duty::Carrying, (5, 18))
                .iter()
                .all(|cap| *cap == Capability::CAP_BPF)
        );
        // Those of the other threads are as before.
        assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), before);
    }
}
