// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the programs of the [table](super::programs), and attaching them.
//!
//! The verifier takes most of the time in which a command waits for us, so that programs are loaded side by side. They
//! are attached one after the other, in the order of the table.

use std::{
    collections::HashMap,
    num::NonZero,
    os::fd::BorrowedFd,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, Program, ProgramError},
};

use super::{
    Tried,
    programs::{Entry, Hook, Missing, Redirected, offset, wanted},
    tracefs,
};

/// Programs loaded at once, at most.
const AT_ONCE: usize = 4;

/// Loads every program that is wanted and attaches it to `target`. `Err` names an essential one that was refused.
pub(super) fn attach_all(
    ebpf: &mut Ebpf,
    target: BorrowedFd<'_>,
    redirected: Redirected,
) -> Result<Vec<Missing>, Missing> {
    let mut loaded = load_all(ebpf, redirected);
    let mut missing = Vec::new();
    for entry in wanted(redirected) {
        let attached = loaded
            .remove(entry.program)
            .unwrap_or_else(|| Err("the object does not contain it".to_owned()))
            .and_then(|program| {
                attach(program, &entry.hook, target).map_err(|error| explain(&error))
            });
        if let Err(reason) = attached {
            let lacking = Missing {
                program: entry.program,
                lost: entry.lost,
                reason,
            };
            if entry.essential {
                return Err(lacking);
            }
            missing.push(lacking);
        }
    }
    Ok(missing)
}

/// Loads every program that is wanted, and attaches none.
pub(super) fn try_all(ebpf: &mut Ebpf, redirected: Redirected) -> Vec<Tried> {
    let mut loaded = load_all(ebpf, redirected);
    wanted(redirected)
        .map(|entry| Tried {
            program: entry.program,
            lost: entry.lost,
            essential: entry.essential,
            outcome: loaded
                .remove(entry.program)
                .unwrap_or_else(|| Err("the object does not contain it".to_owned()))
                .map(|_| ()),
        })
        .collect()
}

type Loaded<'a> = HashMap<&'static str, Result<&'a mut Program, String>>;

fn load_all(ebpf: &mut Ebpf, redirected: Redirected) -> Loaded<'_> {
    let mut present: HashMap<&str, &mut Program> = ebpf.programs_mut().collect();
    let mut waiting: Vec<(&Entry, &mut Program)> = wanted(redirected)
        .filter_map(|entry| Some((entry, present.remove(entry.program)?)))
        .collect();
    // Taken from the end: those that read packets, which are by far the longest, must not come last.
    waiting.sort_by_key(|(_, program)| matches!(program, Program::CgroupSkb(_)));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(waiting);
    let loaded = Mutex::new(HashMap::new());
    let work = || {
        while let Some((entry, program)) = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.pop()
        } {
            let outcome = load(entry, program);
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.insert(entry.program, outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(AT_ONCE) {
            scope.spawn(work);
        }
        work();
    });
    loaded.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn load<'a>(entry: &Entry, program: &'a mut Program) -> Result<&'a mut Program, String> {
    if let Hook::Tracepoint {
        category,
        name,
        fields,
    } = &entry.hook
    {
        check_format(category, name, fields)?;
    }
    let outcome = match program {
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    match outcome {
        Ok(()) => Ok(program),
        Err(error) => Err(explain(&error)),
    }
}

fn check_format(category: &str, name: &str, fields: &[(&str, u32)]) -> Result<(), String> {
    let found = tracefs::format(category, name)
        .map_err(|error| format!("tracepoint {category}:{name} cannot be read: {error}"))?;
    for (field, expected) in fields {
        if offset(&found, field) != Some(*expected) {
            return Err(format!(
                "tracepoint {category}:{name} has its field {field} not at offset {expected}"
            ));
        }
    }
    Ok(())
}

fn attach(program: &mut Program, hook: &Hook, target: BorrowedFd<'_>) -> Result<(), ProgramError> {
    // With links, `Single` is the mode that the kernel takes; other programs on the cgroup go on working.
    let mode = CgroupAttachMode::Single;
    match (program, hook) {
        (Program::CgroupSock(program), Hook::Cgroup) => {
            program.attach(target, mode)?;
        }
        (Program::CgroupSockAddr(program), Hook::Cgroup) => {
            program.attach(target, mode)?;
        }
        (Program::SockOps(program), Hook::Cgroup) => {
            program.attach(target, mode)?;
        }
        (Program::CgroupSkb(program), Hook::Cgroup) => {
            let Some(direction) = *program.expected_attach_type() else {
                return Err(ProgramError::UnexpectedProgramType);
            };
            program.attach(target, direction, mode)?;
        }
        (Program::TracePoint(program), Hook::Tracepoint { category, name, .. }) => {
            program.attach(category, name)?;
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    }
    Ok(())
}

/// One line, with the likely cause where there is a usual one.
fn explain(error: &ProgramError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    // The verifier's whole story is long.
    tracing::debug!(target: "gomod_trace::kernel", "{text}");
    let text = text.lines().next().unwrap_or_default().to_owned();
    if let ProgramError::SyscallError(syscall) = error
        && syscall.call == "bpf_link_create"
        && syscall.io_error.raw_os_error() == Some(libc::EPERM)
    {
        return format!("{text} (another program holds the parent cgroup exclusively)");
    }
    text
}
