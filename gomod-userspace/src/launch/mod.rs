// SPDX-License-Identifier: MIT OR Apache-2.0
//! The child of `gomod-trace run`: it runs as the user who called sudo, with exactly the environment,
//! terminal, signals and exit status it would have had without us, inside a cgroup of its own.
//!
//! The order of a run:
//!
//! 1. [`Signals::take`] on the main thread, before any other thread exists;
//! 2. [`Invoker::detect`], [`sweep()`], [`Cgroup::create`]; attach programs to [`Cgroup::as_fd`](std::os::fd::AsFd::as_fd);
//! 3. [`Signals::take_pending`] (an early Ctrl-C), then [`Child::spawn`], with a
//!    [`TrustOverlay`] if the command is to trust a certificate of ours;
//! 4. [`Supervisor::ended`], then [`Cgroup::emptied`] or [`Supervisor::interrupted`], whichever comes first;
//! 5. [`Cgroup::dismantle`], the report, and [`Ending::pass_on`].

mod ancestors;
mod cgroup;
mod child;
mod ending;
mod error;
mod evacuate;
mod failure;
mod file_rights;
mod forked;
mod go_settings;
mod hierarchy;
mod inherited;
mod invoker;
mod limits;
mod mount_points;
mod overlay;
mod privileges;
mod search;
mod signals;
mod sudo;
mod supervisor;
mod sweep;
mod watch;

pub use cgroup::Cgroup;
pub use child::{Child, SpawnOptions};
pub use ending::Ending;
pub use error::{LaunchError, Step};
pub use go_settings::{FoundGo, GoSettings, read_bounded};
pub use hierarchy::Hierarchy;
pub use inherited::InheritedSignals;
pub use invoker::{Invoker, Source};
pub use limits::{forbid_core_dumps, raise_descriptor_limit};
pub use mount_points::{MountPoint, mount_points};
pub use overlay::{OverlayError, OverlayStep, TrustOverlay, TrustStore};
pub use privileges::{Duty, drop_privileges};
pub use signals::Signals;
pub use supervisor::{JobControl, Supervisor};
pub use sweep::{Swept, sweep};
