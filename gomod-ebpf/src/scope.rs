// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Which processes are traced: those in the cgroup of the run, or in a cgroup below it.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::CgroupArray};

/// The traced cgroup, put here by the agent.
#[map]
static TRACED: CgroupArray = CgroupArray::with_max_entries(1, 0);

/// True if the current task belongs to the run.
///
/// Kernel 4.9 (`bpf_current_task_under_cgroup`). Not to be asked in softirq context, where the current task is
/// any task.
#[inline(always)]
pub fn is_traced() -> bool {
    matches!(TRACED.current_task_under_cgroup(0), Ok(true))
}

/// Thread group of the current task.
#[inline(always)]
pub fn current_pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Thread of the current task.
#[inline(always)]
pub fn current_tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}
