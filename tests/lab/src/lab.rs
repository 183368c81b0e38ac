// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running lab.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::LabError;
use crate::addresses::{Families, Host, family_of};
use crate::builder::LabBuilder;
use crate::fault::{Fault, FaultKind, Faults};
use crate::log::{Act, Connection, Log, Question, Request};
use crate::modules::checksum_database::ChecksumDatabase;
use crate::modules::{Module, ModuleSet};
use crate::net::link::Link;
use crate::net::netlink::Netlink;
use crate::project::Project;
use crate::serve::Servers;
use crate::sys::{Entry, Identity, enter_before_exec};

/// Routes of the client that faults have changed.
#[derive(Debug)]
pub(crate) struct Routes {
    netlink: Netlink,
    unreachable: Vec<IpAddr>,
}

impl Routes {
    pub(crate) fn new(netlink: Netlink) -> Self {
        Self {
            netlink,
            unreachable: Vec::new(),
        }
    }
}

/// Two network namespaces, the link between them, and servers in one of them. All of it ends with this value, or with the process.
///
/// Processes started by [`Lab::command`] are the caller's: they keep the client's namespace while they run.
#[derive(Debug)]
pub struct Lab {
    pub(crate) _link: Link,
    pub(crate) _servers: Servers,
    pub(crate) network: Arc<OwnedFd>,
    pub(crate) mounts: Arc<OwnedFd>,
    pub(crate) routes: Mutex<Routes>,
    pub(crate) families: Families,
    pub(crate) hosts: Vec<Host>,
    pub(crate) modules: Arc<ModuleSet>,
    pub(crate) private_modules: Arc<ModuleSet>,
    pub(crate) git_modules: Vec<Module>,
    pub(crate) checksums: Arc<ChecksumDatabase>,
    pub(crate) authority: String,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
}

impl Lab {
    /// A lab without delay, loss, limits or faults, with twelve small modules; to be changed, then started.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }

    /// A command that will run on the client's side: its network, resolver and certificate authorities.
    ///
    /// Environment and working directory are as [`Command`] has them. A user other than the caller's must be given by
    /// [`Lab::command_as`]: namespaces can only be entered before the identity changes.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, None, false)
    }

    /// The same as another user.
    pub fn command_as(&self, program: impl AsRef<OsStr>, identity: Identity) -> Command {
        self.command_with(program, Some(identity), false)
    }

    pub(crate) fn command_with(
        &self,
        program: impl AsRef<OsStr>,
        identity: Option<Identity>,
        die_with_parent: bool,
    ) -> Command {
        let mut command = Command::new(program);
        let entry = Entry {
            network: Arc::clone(&self.network),
            mounts: Some(Arc::clone(&self.mounts)),
            identity,
            die_with_parent,
        };
        enter_before_exec(&mut command, entry);
        command
    }

    /// A new project in a directory of its own, removed with the value.
    pub fn project(&self) -> Result<Project<'_>, LabError> {
        Project::temporary(self)
    }

    /// A project in `directory`, which is made if need be and stays.
    pub fn project_in(&self, directory: &std::path::Path) -> Result<Project<'_>, LabError> {
        Project::in_directory(self, directory)
    }

    /// Replaces the faults in force. Connections already doomed stay so.
    ///
    /// # Errors
    /// If the client's routes cannot be changed.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) -> Result<(), LabError> {
        let faults = faults.into_iter().collect::<Vec<_>>();
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for address in std::mem::take(&mut routes.unreachable) {
            routes
                .netlink
                .remove_unreachable(address)
                .map_err(|error| LabError::setup("netlink: remove route", error))?;
        }
        for fault in faults
            .iter()
            .filter(|fault| fault.kind == FaultKind::NoRoute)
        {
            for host in &self.hosts {
                for address in host
                    .addresses(self.families)
                    .filter(|address| fault.concerns(&host.name, family_of(address)))
                {
                    if routes.unreachable.contains(&address) {
                        continue;
                    }
                    routes
                        .netlink
                        .add_unreachable(address)
                        .map_err(|error| LabError::setup("netlink: add route", error))?;
                    routes.unreachable.push(address);
                    self.log.act(
                        fault.kind,
                        host.name.as_str(),
                        format!("unreachable route to {address}"),
                    );
                }
            }
        }
        self.faults.set(faults);
        Ok(())
    }

    /// Replaces the faults in force by one.
    pub fn set_fault(&self, fault: impl Into<Fault>) -> Result<(), LabError> {
        self.set_faults([fault.into()])
    }

    /// Mends everything.
    pub fn clear_faults(&self) -> Result<(), LabError> {
        self.set_faults([])
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults.now().to_vec()
    }

    /// What faults did so far.
    pub fn acts(&self) -> Vec<Act> {
        self.log.acts()
    }

    /// The connections to TLS servers so far, handshake completed.
    pub fn connections(&self) -> Vec<Connection> {
        self.log.connections()
    }

    /// The HTTP requests that servers received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// The questions that nameservers received so far.
    pub fn questions(&self) -> Vec<Question> {
        self.log.questions()
    }

    /// Since the lab started: the clock of [`Act`], [`Request`] and [`Question`].
    pub fn now(&self) -> Duration {
        self.log.now()
    }

    /// The TLS hosts of the internet's side.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// One of them.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The public modules served, in the order of the projects' go.mod.
    pub fn modules(&self) -> &[Module] {
        &self.modules.modules
    }

    /// The modules of [`crate::PRIVATE`], which the projects require as well.
    pub fn private_modules(&self) -> &[Module] {
        &self.private_modules.modules
    }

    /// The modules of [`crate::GIT`], which the projects require as well.
    pub fn git_modules(&self) -> &[Module] {
        &self.git_modules
    }

    /// The value of GOSUMDB with which `go` asks, and believes, the lab's checksum database.
    pub fn checksum_database(&self) -> &str {
        self.checksums.verifier()
    }

    /// Writes all files of the modules to `directory` as a module proxy serves them, for `GOPROXY=file://…`.
    pub fn write_module_proxy(&self, directory: &std::path::Path) -> Result<(), LabError> {
        for module in self.modules() {
            module
                .write_below(directory)
                .map_err(|source| LabError::Project {
                    path: directory.to_owned(),
                    source,
                })?;
        }
        Ok(())
    }

    /// All that the projects require.
    pub(crate) fn required(&self) -> impl Iterator<Item = &Module> {
        self.modules()
            .iter()
            .chain(self.private_modules())
            .chain(self.git_modules())
    }

    /// The certificate authority that signs for the servers, PEM. Commands of [`Lab::command`] trust it already.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Runs `work` on a thread inside the client's network namespace: for tests that speak to the servers themselves.
    pub fn on_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    nix::sched::setns(&*self.network, nix::sched::CloneFlags::CLONE_NEWNET)
                        .map_err(|error| LabError::setup("setns(CLONE_NEWNET)", error))?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
