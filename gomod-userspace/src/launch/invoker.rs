// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who called us, and with what environment.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::ancestors::{Ancestor, Status, ancestors, own_pid, read, split_nul};
use super::{LaunchError, sudo};

/// The user for whom the child runs.
#[derive(Clone, Debug)]
pub struct Invoker {
    /// User id of the child.
    pub uid: u32,
    /// Primary group id of the child.
    pub gid: u32,
    /// Supplementary groups of the child.
    pub groups: Vec<u32>,
    /// Entries in their order, byte for byte, also those without `=`, doubled, empty or not in UTF-8.
    pub environment: Vec<CString>,
    /// The umask of the caller's shell where it is known to differ from ours (sudo widens it).
    pub umask: Option<u32>,
    /// How that was found out.
    pub source: Source,
}

/// Where an [`Invoker`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By sudo, from a user's shell or program.
    Sudo {
        /// The outermost sudo process.
        pid: i32,
        /// Entries that were assigned on sudo's command line, already merged into the environment.
        assigned: Vec<CString>,
    },
    /// Directly: the child keeps our own identity and environment.
    Plain,
}

impl Invoker {
    /// Finds the caller by the ancestors of this process.
    ///
    /// Started through sudo, the environment is what the caller's shell gave to the outermost sudo; assignments on
    /// sudo's own command line replace or follow its entries. What a program between sudo and us changed (`sudo env X=1 …`)
    /// is not seen. `SUDO_*` variables without a sudo above us mean nothing.
    ///
    /// # Errors
    /// [`LaunchError::Proc`] without the right to read sudo's `/proc` files, [`LaunchError::UnknownCaller`],
    /// [`LaunchError::Groups`].
    pub fn detect() -> Result<Self, LaunchError> {
        let ancestors = ancestors()?;
        match sudo::outermost(&ancestors) {
            Some(index) => Self::of_sudo(&ancestors, index),
            None => Self::plain(),
        }
    }

    /// As if no sudo had called us, whoever did: our own identity and environment.
    ///
    /// # Errors
    /// [`LaunchError::Proc`] without a readable `/proc`.
    pub fn ourselves() -> Result<Self, LaunchError> {
        Self::plain()
    }

    /// The value of the first entry of that name, as `getenv` finds it.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        lookup(&self.environment, name.as_bytes()).map(OsStr::from_bytes)
    }

    fn plain() -> Result<Self, LaunchError> {
        Ok(Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: Status::read(own_pid())?.groups,
            environment: environment_of(own_pid())?,
            umask: None,
            source: Source::Plain,
        })
    }

    fn of_sudo(ancestors: &[Ancestor], index: usize) -> Result<Self, LaunchError> {
        let outer = &ancestors[index];
        // A shell that has ended meanwhile leaves only the group database to ask.
        let caller = Status::read(outer.parent).ok();
        let (uid, gid) = caller_ids(ancestors, index)?;
        let caller = caller.filter(|caller| caller.real_uid == uid);
        let groups = match &caller {
            Some(caller) => caller.groups.clone(),
            None => database_groups(uid, gid)?,
        };
        let assigned = c_strings(sudo::assignments(&outer.argv));
        let mut environment = environment_of(outer.pid)?;
        for entry in &assigned {
            assign(&mut environment, entry);
        }
        Ok(Self {
            uid,
            gid,
            groups,
            environment,
            umask: caller.and_then(|caller| caller.umask),
            source: Source::Sudo {
                pid: outer.pid,
                assigned,
            },
        })
    }
}

/// The ids that sudo noted for the first process below it, whose environment sudo itself made; with nested sudo, ours
/// would name root. `sudo env -u SUDO_UID …` hides them there, so all processes down to ours are asked.
fn caller_ids(ancestors: &[Ancestor], index: usize) -> Result<(u32, u32), LaunchError> {
    let outer = &ancestors[index];
    let below = ancestors[..index]
        .iter()
        .rev()
        .map(|ancestor| ancestor.pid)
        .chain([own_pid()]);
    for pid in below {
        let Ok(environment) = environment_of(pid) else {
            continue;
        };
        let id = |name: &[u8]| {
            std::str::from_utf8(lookup(&environment, name)?)
                .ok()?
                .parse()
                .ok()
        };
        if let (Some(uid), Some(gid)) = (id(b"SUDO_UID"), id(b"SUDO_GID")) {
            // The kernel's own record of who started sudo goes before a variable; root there says nothing,
            // as some versions take root's real uid as well.
            if outer.real_uid == 0 || outer.real_uid == uid {
                return Ok((uid, gid));
            }
        }
    }
    let unknown = || LaunchError::UnknownCaller { pid: outer.pid };
    let uid = Uid::from_raw(outer.real_uid);
    if uid.is_root() {
        return Err(unknown());
    }
    let user = User::from_uid(uid).ok().flatten().ok_or_else(unknown)?;
    Ok((uid.as_raw(), user.gid.as_raw()))
}

fn database_groups(uid: u32, gid: u32) -> Result<Vec<u32>, LaunchError> {
    let failed = |errno: nix::errno::Errno| LaunchError::Groups {
        uid,
        source: errno.into(),
    };
    // A uid without a name has no other groups.
    let Some(user) = User::from_uid(Uid::from_raw(uid)).map_err(failed)? else {
        return Ok(vec![gid]);
    };
    let name = CString::new(user.name).map_err(|_| failed(nix::errno::Errno::EINVAL))?;
    let groups = getgrouplist(&name, Gid::from_raw(gid)).map_err(failed)?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

fn environment_of(pid: i32) -> Result<Vec<CString>, LaunchError> {
    Ok(c_strings(split_nul(&read(pid, "environ")?)))
}

fn c_strings(entries: Vec<Vec<u8>>) -> Vec<CString> {
    // Each was cut at its NUL, so none can hold one.
    entries
        .into_iter()
        .filter_map(|entry| CString::new(entry).ok())
        .collect()
}

fn name_of(entry: &[u8]) -> Option<&[u8]> {
    entry
        .iter()
        .position(|byte| *byte == b'=')
        .map(|at| &entry[..at])
}

pub(super) fn lookup<'a>(environment: &'a [CString], name: &[u8]) -> Option<&'a [u8]> {
    environment
        .iter()
        .map(CString::as_bytes)
        .find(|entry| name_of(entry) == Some(name))
        .map(|entry| &entry[name.len() + 1..])
}

/// Replaces the first entry of that name and removes its doubles, or appends.
fn assign(environment: &mut Vec<CString>, entry: &CString) {
    let name = name_of(entry.as_bytes());
    let same = |other: &CString| name_of(other.as_bytes()) == name;
    let Some(first) = environment.iter().position(same) else {
        environment.push(entry.clone());
        return;
    };
    environment[first] = entry.clone();
    let mut index = 0;
    environment.retain(|other| {
        index += 1;
        index - 1 == first || !same(other)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[&str]) -> Vec<CString> {
        list.iter()
            .map(|entry| CString::new(*entry).unwrap())
            .collect()
    }

    #[test]
    fn an_assignment_replaces_every_entry_of_its_name_or_is_appended() {
        let mut environment = entries(&["A=1", "odd", "B=2", "A=3", ""]);
        assign(&mut environment, &entries(&["A=new"])[0]);
        assign(&mut environment, &entries(&["C=4"])[0]);
        assert_eq!(environment, entries(&["A=new", "odd", "B=2", "", "C=4"]));
    }

    #[test]
    fn lookup_takes_the_first_entry_and_the_whole_name() {
        let environment = entries(&["PATHS=x", "PATH", "PATH=a=b", "PATH=c"]);
        assert_eq!(lookup(&environment, b"PATH"), Some(&b"a=b"[..]));
        assert_eq!(lookup(&environment, b"PA"), None);
    }
}
