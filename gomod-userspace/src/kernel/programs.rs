// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of kernel programs: where each [attaches](super::attach), what it reads, what is lost without it.

use super::tracefs;

/// A program that could not be loaded or attached; the run goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Name of the program.
    pub program: &'static str,
    /// What is not seen because of that.
    pub lost: &'static str,
    /// What the kernel said.
    pub reason: String,
}

/// Where a program attaches.
pub(super) enum Hook {
    /// To the traced cgroup, by a link.
    Cgroup,
    /// A tracepoint; `fields` are the offsets that the program relies on.
    Tracepoint {
        category: &'static str,
        name: &'static str,
        fields: &'static [(&'static str, u32)],
    },
}

pub(super) struct Entry {
    pub(super) program: &'static str,
    pub(super) hook: Hook,
    pub(super) lost: &'static str,
    /// Without it there is nothing to tell.
    pub(super) essential: bool,
    wanted: Wanted,
}

/// When a program is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// To watch.
    Always,
    /// Where connections or questions to nameservers are redirected.
    Redirecting,
    /// Where questions to nameservers are redirected, and then it's indispensable for that.
    Names,
}

/// What is to be redirected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Redirected {
    /// Connections of `go`.
    pub(super) connections: bool,
    /// Questions to nameservers.
    pub(super) names: bool,
}

impl Wanted {
    fn for_run(self, redirected: Redirected) -> bool {
        match self {
            Self::Always => true,
            Self::Redirecting => redirected.connections || redirected.names,
            Self::Names => redirected.names,
        }
    }
}

const fn cgroup(program: &'static str, lost: &'static str, essential: bool) -> Entry {
    Entry {
        program,
        hook: Hook::Cgroup,
        lost,
        essential,
        wanted: Wanted::Always,
    }
}

const fn redirecting(program: &'static str, lost: &'static str) -> Entry {
    Entry {
        wanted: Wanted::Redirecting,
        ..cgroup(program, lost, false)
    }
}

const fn of_names(program: &'static str) -> Entry {
    Entry {
        wanted: Wanted::Names,
        ..cgroup(
            program,
            "faster DNS: questions go to the nameservers themselves",
            false,
        )
    }
}

const fn tracepoint(
    program: &'static str,
    category: &'static str,
    name: &'static str,
    fields: &'static [(&'static str, u32)],
    lost: &'static str,
) -> Entry {
    Entry {
        program,
        hook: Hook::Tracepoint {
            category,
            name,
            fields,
        },
        lost,
        essential: false,
        wanted: Wanted::Always,
    }
}

const MODULES: &str = "names of module files and lock waits";

const TABLE: &[Entry] = &[
    cgroup("sock_create", "everything of the network", true),
    cgroup("connect4", "IPv4 connections that send no packet", false),
    cgroup("connect6", "IPv6 connections that send no packet", false),
    redirecting(
        "getpeername4",
        "nothing, but processes see our listener as their IPv4 peer",
    ),
    redirecting(
        "getpeername6",
        "nothing, but processes see our listener as their IPv6 peer",
    ),
    // Answers must look right before the first question goes elsewhere.
    of_names("recvmsg4"),
    of_names("recvmsg6"),
    of_names("sendmsg4"),
    of_names("sendmsg6"),
    cgroup("packet_out", "DNS queries and TLS ClientHellos", true),
    cgroup("packet_in", "DNS answers, resets and TLS answers", true),
    cgroup(
        "tcp_ops",
        "round-trip times, retransmissions and given-up connections",
        false,
    ),
    tracepoint(
        "socket_error",
        "sock",
        "inet_sk_error_report",
        &[
            ("error", 8),
            ("sport", 12),
            ("dport", 14),
            ("family", 16),
            ("protocol", 18),
            ("saddr", 20),
            ("daddr", 24),
            ("saddr_v6", 28),
            ("daddr_v6", 44),
        ],
        "error numbers of failed connections",
    ),
    tracepoint(
        "connect_exit",
        "syscalls",
        "sys_exit_connect",
        &[("ret", 16)],
        "why a connection failed before its first packet",
    ),
    tracepoint(
        "process_fork",
        "sched",
        "sched_process_fork",
        &[("child_pid", 20)],
        "parents of processes",
    ),
    tracepoint(
        "process_exec",
        "sched",
        "sched_process_exec",
        &[("filename", 8)],
        "names and arguments of processes",
    ),
    tracepoint(
        "process_exit",
        "sched",
        "sched_process_exit",
        &[],
        "when processes end",
    ),
    tracepoint(
        "exit_group",
        "syscalls",
        "sys_enter_exit_group",
        &[("error_code", 16)],
        "exit codes of processes",
    ),
    tracepoint(
        "openat_enter",
        "syscalls",
        "sys_enter_openat",
        &[("filename", 24), ("flags", 32)],
        MODULES,
    ),
    tracepoint(
        "openat_exit",
        "syscalls",
        "sys_exit_openat",
        &[("ret", 16)],
        MODULES,
    ),
    tracepoint(
        "renameat_enter",
        "syscalls",
        "sys_enter_renameat",
        &[("newname", 40)],
        MODULES,
    ),
    tracepoint(
        "renameat_exit",
        "syscalls",
        "sys_exit_renameat",
        &[("ret", 16)],
        MODULES,
    ),
    tracepoint(
        "unlinkat_enter",
        "syscalls",
        "sys_enter_unlinkat",
        &[("pathname", 24)],
        MODULES,
    ),
    tracepoint(
        "flock_enter",
        "syscalls",
        "sys_enter_flock",
        &[("fd", 16), ("cmd", 24)],
        "waits for locks of the module cache",
    ),
    tracepoint(
        "flock_exit",
        "syscalls",
        "sys_exit_flock",
        &[("ret", 16)],
        "waits for locks of the module cache",
    ),
];

/// Names of all programs, in the order in which they are attached.
pub const PROGRAM_NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        names[index] = TABLE[index].program;
        index += 1;
    }
    names
};

/// Maps that such a run never fills. The kernel allocates all entries of a map at once, which takes time.
pub(super) fn unused_maps(redirected: Redirected) -> impl Iterator<Item = &'static str> {
    let of_connections =
        ["LISTENERS", "ORIGINS", "NEAR_ENDS"].map(|map| (map, redirected.connections));
    let of_names = ["STUBS", "NAME_SERVERS"].map(|map| (map, redirected.names));
    of_connections
        .into_iter()
        .chain(of_names)
        .filter(|(_, used)| !used)
        .map(|(map, _)| map)
}

/// True if connections can be redirected without these programs: one rewrites each family's destinations, and one tells the
/// agent what they were.
pub(super) fn connections_work_without(missing: &[Missing]) -> bool {
    !missing
        .iter()
        .any(|missing| matches!(missing.program, "connect4" | "connect6" | "tcp_ops"))
}

/// True if questions to nameservers can be redirected without these programs: all that changes an address is there.
pub(super) fn names_work_without(missing: &[Missing]) -> bool {
    !missing.iter().any(|missing| {
        matches!(missing.program, "connect4" | "connect6")
            || TABLE
                .iter()
                .any(|entry| entry.program == missing.program && entry.wanted == Wanted::Names)
    })
}

/// Offset of `group_dead` in `sched:sched_process_exit`, 0 if this kernel's has none.
pub(super) fn group_dead_offset() -> u32 {
    tracefs::format("sched", "sched_process_exit")
        .ok()
        .and_then(|fields| offset(&fields, "group_dead"))
        .unwrap_or(0)
}

/// The programs that such a run needs, in the order in which they are to be attached.
pub(super) fn wanted(redirected: Redirected) -> impl Iterator<Item = &'static Entry> {
    TABLE
        .iter()
        .filter(move |entry| entry.wanted.for_run(redirected))
}

pub(super) fn offset(fields: &[(String, u32)], name: &str) -> Option<u32> {
    fields
        .iter()
        .find(|(field, _)| field == name)
        .map(|(_, offset)| *offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_redirected_completely_or_not_at_all() {
        let missing = |program| {
            [Missing {
                program,
                lost: "",
                reason: String::new(),
            }]
        };
        for program in ["connect4", "connect6", "tcp_ops"] {
            assert!(!connections_work_without(&missing(program)), "{program}");
        }
        assert!(connections_work_without(&missing("getpeername4")));
        assert!(names_work_without(&[]));
        assert!(names_work_without(&missing("getpeername4")));
        for program in ["connect6", "recvmsg4", "sendmsg6"] {
            assert!(!names_work_without(&missing(program)), "{program}");
        }
    }

    #[test]
    fn the_object_has_exactly_the_programs_of_the_table() {
        let object = aya_obj_programs();
        let mut table = PROGRAM_NAMES.to_vec();
        table.sort_unstable();
        assert_eq!(object, table);
    }

    /// Function symbols of the object's program sections.
    fn aya_obj_programs() -> Vec<&'static str> {
        use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
        let file = object::File::parse(super::super::OBJECT).unwrap();
        let mut names: Vec<&str> = file
            .symbols()
            .filter(|symbol| symbol.is_global() && symbol.kind() == object::SymbolKind::Text)
            .filter(|symbol| {
                symbol
                    .section_index()
                    .and_then(|index| file.section_by_index(index).ok())
                    .and_then(|section| section.name().ok().map(|name| name != ".text"))
                    .unwrap_or(false)
            })
            .filter_map(|symbol| symbol.name().ok())
            .collect();
        names.sort_unstable();
        names
    }
}
