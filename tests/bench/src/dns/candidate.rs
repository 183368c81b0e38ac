// SPDX-License-Identifier: MIT OR Apache-2.0
//! The resolvers that are measured.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::{
    latency,
    process::{Process, announced, own_command},
};

/// How long a resolver may take to start.
const START: Duration = Duration::from_secs(10);
/// Answers kept: more than there are names.
const CACHE: &str = "100000";

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The nameserver itself.
    None,
    Dnsmasq,
    Unbound,
    Stub,
}

/// One that runs.
pub(super) struct Candidate {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    /// Both last as long as this.
    process: Option<Process>,
    configuration: Option<TempDir>,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Dnsmasq, Self::Unbound, Self::Stub];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "no cache",
            Self::Dnsmasq => "dnsmasq",
            Self::Unbound => "unbound",
            Self::Stub => "gomod-trace",
        }
    }

    /// Whether it remembers answers.
    pub(super) fn keeps(self) -> bool {
        self != Self::None
    }
}

impl Candidate {
    /// Starts it before `nameserver`, and waits until it answers.
    pub(super) fn start(kind: Kind, nameserver: SocketAddr) -> Result<Self> {
        let mut candidate = Self {
            kind,
            address: nameserver,
            process: None,
            configuration: None,
        };
        match kind {
            Kind::None => return Ok(candidate),
            Kind::Stub => {
                let mut command = own_command()?;
                command.arg("dns-stub").arg(nameserver.to_string());
                let (process, address) = announced(command)?;
                candidate.address = address;
                candidate.wait(process)?;
            }
            Kind::Dnsmasq => {
                candidate.address = free_address()?;
                let process = Process::start(dnsmasq(candidate.address, nameserver))
                    .context("dnsmasq (package dnsmasq-base)")?;
                candidate.wait(process)?;
            }
            Kind::Unbound => {
                candidate.address = free_address()?;
                let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
                let command = unbound(candidate.address, nameserver, &directory)?;
                candidate.configuration = Some(directory);
                let process = Process::start(command).context("unbound (package unbound)")?;
                candidate.wait(process)?;
            }
        }
        Ok(candidate)
    }

    fn wait(&mut self, mut process: Process) -> Result<()> {
        let end = Instant::now() + START;
        while latency::one(self.address, "ready.example", Duration::from_millis(300)).is_err() {
            if process.has_ended() {
                bail!("{} has ended instead of answering", self.kind.name());
            }
            if Instant::now() > end {
                bail!(
                    "{} does not answer on {} after {} s",
                    self.kind.name(),
                    self.address,
                    START.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
        Ok(())
    }
}

/// A port that was free just now, as these two can't choose one for themselves and tell.
fn free_address() -> Result<SocketAddr> {
    UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .context("no free port")
}

/// Where servers are installed, which an unprivileged `PATH` often lacks; else wherever `PATH` says.
fn program(name: &str) -> PathBuf {
    let installed = Path::new("/usr/sbin").join(name);
    if installed.is_file() {
        installed
    } else {
        name.into()
    }
}

/// Nothing of this machine's configuration; as many questions at once as dnsperf asks.
fn dnsmasq(own: SocketAddr, nameserver: SocketAddr) -> Command {
    let mut command = Command::new(program("dnsmasq"));
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
        ])
        .args(["--user=root", "--group=root", "--no-resolv", "--no-hosts"])
        .args(["--bind-interfaces", "--dns-forward-max=1000"])
        .arg(format!("--listen-address={}", own.ip()))
        .arg(format!("--port={}", own.port()))
        .arg(format!("--cache-size={CACHE}"))
        .arg(format!(
            "--server={}#{}",
            nameserver.ip(),
            nameserver.port()
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// No validation: the others don't validate either.
fn unbound(own: SocketAddr, nameserver: SocketAddr, directory: &TempDir) -> Result<Command> {
    let path = directory.path().join("unbound.conf");
    let text = format!(
        "server:\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  \
         logfile: \"\"\n  verbosity: 0\n  num-threads: 1\n  module-config: \"iterator\"\n  \
         do-not-query-localhost: no\n  interface: {}@{}\n  access-control: 127.0.0.0/8 allow\n\
         remote-control:\n  control-enable: no\n\
         forward-zone:\n  name: \".\"\n  forward-addr: {}@{}\n",
        own.ip(),
        own.port(),
        nameserver.ip(),
        nameserver.port()
    );
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(program("unbound"));
    command
        .args(["-d", "-p", "-c"])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}
