// SPDX-License-Identifier: MIT OR Apache-2.0
//! Removing what a crashed run left behind.

use std::path::{Path, PathBuf};

use super::cgroup::{lock, names_a_dead_run};
use super::evacuate::{children, evacuate};
use super::{Hierarchy, LaunchError};

/// What a sweep did with one abandoned cgroup.
#[derive(Debug)]
pub struct Swept {
    /// The cgroup.
    pub path: PathBuf,
    /// How many living processes were moved to the cgroup above it, or why it could not be removed.
    pub result: Result<usize, LaunchError>,
}

/// Removes the cgroups of runs that were killed, wherever in the visible hierarchy they ran: a login session that
/// crashed is not the one that cleans up. Processes still in them are moved one level up, not killed.
pub fn sweep(hierarchy: &Hierarchy) -> Vec<Swept> {
    let mut swept = Vec::new();
    visit(&hierarchy.mount, &mut swept);
    swept
}

fn visit(directory: &Path, swept: &mut Vec<Swept>) {
    for child in children(directory) {
        let abandoned = child
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(names_a_dead_run);
        // The lock is held over the removal, so that two sweeps don't meet.
        let lock = if abandoned {
            lock(&child).ok().flatten()
        } else {
            None
        };
        if lock.is_some() {
            let result = evacuate(&child, directory);
            swept.push(Swept {
                path: child,
                result,
            });
        } else {
            visit(&child, swept);
        }
    }
}
