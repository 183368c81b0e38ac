// SPDX-License-Identifier: MIT OR Apache-2.0
//! The internet side's servers: one thread, inside the internet's network namespace, for all of them.

pub(crate) mod body;
pub(crate) mod certificates;
pub(crate) mod dns;
mod dns_encrypted;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod login;
mod range;
mod route;
pub(crate) mod tls;
mod web_proxy;
pub(crate) mod wiretap;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::LabError;
use crate::addresses::{Families, Host, WEB_PROXY, WEB_PROXY_PORT};
use crate::fault::Faults;
use crate::log::Log;
use crate::modules::ModuleSet;
use crate::modules::checksum_database::ChecksumDatabase;
use certificates::Certificates;

/// What the servers need to know.
#[derive(Debug)]
pub(crate) struct Internet {
    pub(crate) families: Families,
    pub(crate) nameservers: Vec<Host>,
    /// Seconds for which their answers hold.
    pub(crate) name_ttl: u32,
    pub(crate) hosts: Vec<Host>,
    pub(crate) modules: Arc<ModuleSet>,
    pub(crate) private_modules: Arc<ModuleSet>,
    pub(crate) repositories: Option<git::Repositories>,
    pub(crate) checksums: Arc<ChecksumDatabase>,
    /// True if the module proxy answers for the checksum database too.
    pub(crate) proxy_has_checksums: bool,
    /// True if zips are to be had at another host.
    pub(crate) zips_elsewhere: bool,
    pub(crate) certificates: Certificates,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
}

/// Running servers. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// Starts them; all sockets listen when this returns.
    pub(crate) fn start(namespace: Arc<OwnedFd>, internet: Internet) -> Result<Self, LabError> {
        let (stop, stopped) = oneshot::channel();
        let (report, started) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("lab-servers".to_owned())
            .spawn(move || {
                let runtime = setns(&*namespace, CloneFlags::CLONE_NEWNET)
                    .map_err(|error| LabError::setup("setns(CLONE_NEWNET)", error))
                    .and_then(|()| {
                        Builder::new_current_thread()
                            .enable_all()
                            .build()
                            .map_err(|error| LabError::setup("start a runtime", error))
                    });
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = report.send(Err(error));
                        return;
                    }
                };
                runtime.block_on(async move {
                    let outcome = listen(Arc::new(internet)).await;
                    let listening = outcome.is_ok();
                    let _ = report.send(outcome);
                    if listening {
                        // Either a word or the sender's end: both mean stop.
                        let _ = stopped.await;
                    }
                });
            })
            .map_err(|error| LabError::setup("clone (a thread)", error))?;
        let servers = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        started.recv().unwrap_or_else(|_| {
            Err(LabError::Setting(
                "the servers' thread ended while starting".to_owned(),
            ))
        })?;
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(internet: Arc<Internet>) -> Result<(), LabError> {
    for (host, number) in internet.nameservers.iter().zip(1u8..) {
        for address in host.addresses(internet.families) {
            let socket = UdpSocket::bind((address, 53))
                .await
                .map_err(|error| bind_error(address, 53, error))?;
            let listener = bind(address, 53).await?;
            tokio::spawn(dns::serve_udp(Arc::clone(&internet), number, socket));
            tokio::spawn(dns::serve_tcp(Arc::clone(&internet), number, listener));
            for port in [dns_encrypted::TLS_PORT, dns_encrypted::HTTPS_PORT] {
                let listener = bind(address, port).await?;
                let (internet, host) = (Arc::clone(&internet), host.clone());
                tokio::spawn(dns_encrypted::serve(internet, number, host, listener));
            }
        }
    }
    for host in &internet.hosts {
        for address in host.addresses(internet.families) {
            let listener = bind(address, 443).await?;
            tokio::spawn(tls::serve(Arc::clone(&internet), host.clone(), listener));
            let listener = bind(address, 80).await?;
            tokio::spawn(http::serve(Arc::clone(&internet), host.clone(), listener));
            if host.name == WEB_PROXY {
                let listener = bind(address, WEB_PROXY_PORT).await?;
                tokio::spawn(web_proxy::serve(Arc::clone(&internet), listener));
            }
        }
    }
    Ok(())
}

async fn bind(address: IpAddr, port: u16) -> Result<TcpListener, LabError> {
    TcpListener::bind(SocketAddr::new(address, port))
        .await
        .map_err(|error| bind_error(address, port, error))
}

fn bind_error(address: IpAddr, port: u16, error: io::Error) -> LabError {
    LabError::setup(
        format!("bind to {address} port {port} inside the lab"),
        error,
    )
}
