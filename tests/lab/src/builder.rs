// SPDX-License-Identifier: MIT OR Apache-2.0
//! From settings to a running lab.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::LabError;
use crate::addresses::{Families, GIT, Host, PRIVATE, nameservers, tls_hosts};
use crate::fault::{Fault, Faults};
use crate::lab::{Lab, Routes};
use crate::log::Log;
use crate::modules::checksum_database::ChecksumDatabase;
use crate::modules::{ModuleSet, Modules, Source, generate, large, of_toolchain, shared};
use crate::net::link::{Link, LinkSettings};
use crate::net::middlebox::Middlebox;
use crate::net::{namespace, trust};
use crate::serve::certificates::Certificates;
use crate::serve::git::Repositories;
use crate::serve::{Internet, Servers};
use crate::toolchain::Toolchain;
use crate::units::Rate;

/// Settings of a lab to be. [`Lab::builder`] gives one.
#[derive(Debug, Clone)]
#[must_use]
pub struct LabBuilder {
    link: LinkSettings,
    families: Families,
    nameservers: u8,
    name_ttl: u32,
    extra_hosts: Vec<String>,
    modules: Modules,
    private_modules: u16,
    git_modules: u16,
    large_module: Option<u32>,
    toolchain: Option<Toolchain>,
    zips_elsewhere: bool,
    proxy_has_checksums: bool,
    faults: Vec<Fault>,
}

impl Default for LabBuilder {
    fn default() -> Self {
        Self {
            link: LinkSettings {
                round_trip: Duration::ZERO,
                loss: 0.0,
                rate: None,
                seed: 1,
                offload: false,
            },
            families: Families::Both,
            nameservers: 1,
            name_ttl: 60,
            extra_hosts: Vec::new(),
            modules: Modules::small(),
            private_modules: 0,
            git_modules: 0,
            large_module: None,
            toolchain: None,
            zips_elsewhere: false,
            proxy_has_checksums: false,
            faults: Vec::new(),
        }
    }
}

impl LabBuilder {
    /// Round-trip time between client and servers. Unless set: none.
    pub fn rtt(mut self, round_trip: Duration) -> Self {
        self.link.round_trip = round_trip;
        self
    }

    /// Share of packets lost in each direction, from 0 to 1. Unless set: none.
    pub fn loss(mut self, share: f64) -> Self {
        self.link.loss = share;
        self
    }

    /// What the link carries in each direction. Unless set: whatever the machine can.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.link.rate = Some(rate);
        self
    }

    /// Which packets are lost follows from this.
    pub fn seed(mut self, seed: u64) -> Self {
        self.link.seed = seed;
        self
    }

    /// The interfaces leave segmentation to the link, which carries up to 64 KiB of a connection in one frame, as between
    /// network cards with segmentation and receive offload. Unless set: every segment is a frame of its own, as loss,
    /// and faults that look at single segments, need it.
    pub fn segmentation_offload(mut self) -> Self {
        self.link.offload = true;
        self
    }

    /// Address families of the client, its routes and its DNS answers. Unless set: both.
    pub fn families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// How many nameservers resolv.conf lists; from 1 to 3, as resolv.conf(5) allows. Unless set: 1. They are called
    /// `ns1.example.net` and so on, and answer by TLS and HTTPS, too.
    pub fn nameservers(mut self, count: u8) -> Self {
        self.nameservers = count;
        self
    }

    /// For how many seconds the nameservers' answers hold. Unless set: 60.
    pub fn name_ttl(mut self, seconds: u32) -> Self {
        self.name_ttl = seconds;
        self
    }

    /// One more TLS host, which answers `/` alone.
    pub fn extra_host(mut self, name: impl Into<String>) -> Self {
        self.extra_hosts.push(name.into());
        self
    }

    /// What the module hosts serve. Unless set: [`Modules::small`].
    pub fn modules(mut self, modules: Modules) -> Self {
        self.modules = modules;
        self
    }

    /// So many modules at [`crate::PRIVATE`], required by the projects as well, with the login in their `.netrc`.
    pub fn private_modules(mut self, count: u16) -> Self {
        self.private_modules = count;
        self
    }

    /// So many modules in repositories at [`crate::GIT`], required by the projects as well. Needs `git`.
    pub fn git_modules(mut self, count: u16) -> Self {
        self.git_modules = count;
        self
    }

    /// One more module, with files of `bytes` together. `go` takes up to 500 MiB; the lab makes them from one megabyte of
    /// random bytes and never holds them.
    pub fn large_module(mut self, bytes: u32) -> Self {
        self.large_module = Some(bytes);
        self
    }

    /// The module proxy serves this toolchain, to projects that ask for its version.
    pub fn toolchain(mut self, toolchain: Toolchain) -> Self {
        self.toolchain = Some(toolchain);
        self
    }

    /// Module proxies send those who ask for zips on to [`crate::CONTROL`], as large ones do.
    pub fn zips_elsewhere(mut self) -> Self {
        self.zips_elsewhere = true;
        self
    }

    /// The module proxy answers for the checksum database too. Unless set: `go` must ask the database's own host.
    pub fn proxied_checksum_database(mut self) -> Self {
        self.proxy_has_checksums = true;
        self
    }

    /// A fault from the start; may be called several times.
    pub fn fault(mut self, fault: impl Into<Fault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// Makes namespaces, link and servers.
    ///
    /// # Errors
    /// What the machine lacks; [`LabError::is_environmental`] tells that from wrong settings.
    pub fn start(self) -> Result<Lab, LabError> {
        if !(1..=3).contains(&self.nameservers) {
            return Err(LabError::Setting(format!(
                "{} nameservers: resolv.conf takes 1 to 3",
                self.nameservers
            )));
        }
        if !(0.0..=1.0).contains(&self.link.loss) {
            return Err(LabError::Setting(format!(
                "loss {} is not a share from 0 to 1",
                self.link.loss
            )));
        }
        if self.extra_hosts.len() > 200 {
            return Err(LabError::Setting(
                "a lab has at most 200 extra hosts".to_owned(),
            ));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        let log = Log::new();
        let faults = Faults::new(Vec::new());
        let resolvers = nameservers(self.nameservers);
        let hosts = tls_hosts(&self.extra_hosts);
        let known: Vec<Host> = hosts.iter().chain(&resolvers).cloned().collect();
        let certificates = Certificates::generate(&known)?;
        let modules = shared(self.modules)
            .into_iter()
            .chain(self.large_module.map(large))
            .collect();
        let toolchain = self.toolchain.as_ref().map(of_toolchain).transpose()?;
        let modules = Arc::new(ModuleSet::new(modules, toolchain.into_iter().collect()));
        let checksums = Arc::new(ChecksumDatabase::over(&modules)?);
        let private = generate(Modules::many(self.private_modules), PRIVATE);
        let private = private.into_iter().map(Source::pack).collect();
        let private_modules = Arc::new(ModuleSet::new(private, Vec::new()));
        let committed = generate(Modules::many(self.git_modules), GIT);
        let repositories = (self.git_modules > 0)
            .then(|| Repositories::of(&committed))
            .transpose()?;
        let git_modules = committed.into_iter().map(Source::pack).collect();

        let addresses = known
            .iter()
            .flat_map(|host| host.addresses(self.families))
            .collect();
        let client = namespace::client(self.families, self.link.offload)?;
        let internet = namespace::internet(self.families, self.link.offload, addresses)?;
        let mounts = trust::private_mounts(
            resolver_addresses(&resolvers, self.families),
            certificates.authority.clone(),
        )?;
        let authority = certificates.authority.clone();
        let servers = Servers::start(
            internet.network,
            Internet {
                families: self.families,
                nameservers: resolvers,
                name_ttl: self.name_ttl,
                hosts: hosts.clone(),
                modules: Arc::clone(&modules),
                private_modules: Arc::clone(&private_modules),
                repositories,
                checksums: Arc::clone(&checksums),
                proxy_has_checksums: self.proxy_has_checksums,
                zips_elsewhere: self.zips_elsewhere,
                certificates,
                faults: faults.clone(),
                log: log.clone(),
            },
        )?;
        let link = Link::start(
            client.tap,
            internet.tap,
            self.link,
            faults.clone(),
            Middlebox::new(known, log.clone()),
        )?;
        let lab = Lab {
            _link: link,
            _servers: servers,
            network: client.network,
            mounts,
            routes: Mutex::new(Routes::new(client.netlink)),
            families: self.families,
            hosts,
            modules,
            private_modules,
            git_modules,
            checksums,
            authority,
            faults,
            log,
        };
        lab.set_faults(self.faults)?;
        Ok(lab)
    }
}

/// One nameserver per line: its IPv4 address where there is one.
fn resolver_addresses(resolvers: &[Host], families: Families) -> Vec<IpAddr> {
    resolvers
        .iter()
        .filter_map(|host| host.addresses(families).next())
        .collect()
}
