// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that owns the probe's sockets: it joins the traced cgroup before it makes the first of them, becomes the
//! user who asked, and then does what it reads on standard input, one JSON line each way.

mod dial;
mod dns;
mod download;
mod encrypted;
mod exchange;
mod handshake;
mod issuer;

use std::{
    fs, io,
    io::{BufRead as _, Write as _},
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{RootCertStore, pki_types::CertificateDer};
use serde::{Deserialize, Serialize};

use super::task::{Act, Ending, Failure, Observation, Task};

/// The first line: what all tasks share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setup {
    /// Certificates that `go` trusts, DER in base64.
    pub roots: Vec<String>,
}

/// Why the worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not join the cgroup.
    #[error("cannot join the traced cgroup: write to {path}: {source}; run as root")]
    Cgroup {
        /// `cgroup.procs`.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It could not become the user.
    #[error("cannot become user {uid}: {source}")]
    Identity {
        /// Whom.
        uid: u32,
        /// Why.
        source: io::Error,
    },
    /// Standard input is not what the parent writes.
    #[error(
        "standard input holds no task: {0}; this subcommand is started by `gomod-trace probe`, not by hand"
    )]
    Input(String),
    /// The event loop could not be made.
    #[error("cannot start the event loop: {0}; check `ulimit -n`")]
    Runtime(io::Error),
}

/// Whom the worker becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// Joins the cgroup, becomes the user; to be called before there is a second thread or a socket.
pub fn settle(cgroup: Option<&Path>, identity: Option<&Identity>) -> Result<(), WorkerError> {
    if let Some(cgroup) = cgroup {
        let procs = cgroup.join("cgroup.procs");
        fs::write(&procs, "0").map_err(|source| WorkerError::Cgroup {
            path: procs.display().to_string(),
            source,
        })?;
    }
    if let Some(identity) = identity {
        become_user(identity).map_err(|errno| WorkerError::Identity {
            uid: identity.uid,
            source: errno.into(),
        })?;
    }
    Ok(())
}

fn become_user(identity: &Identity) -> nix::Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Does what standard input says until it ends.
pub fn serve() -> Result<(), WorkerError> {
    let mut lines = io::stdin().lock().lines();
    let setup: Setup = match lines.next() {
        Some(Ok(line)) => {
            serde_json::from_str(&line).map_err(|error| WorkerError::Input(error.to_string()))?
        }
        _ => return Err(WorkerError::Input("it is empty".to_owned())),
    };
    drop(lines);
    let roots = Arc::new(roots(&setup));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WorkerError::Runtime)?;
    let (answers, to_write) = mpsc::channel::<Observation>();
    let (tasks, mut wanted) = tokio::sync::mpsc::unbounded_channel::<Task>();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(Ok(task)) = line.map(|line| serde_json::from_str(&line)) else {
                break;
            };
            if tasks.send(task).is_err() {
                break;
            }
        }
    });
    // Also lets go of the parent: a pipe that nobody reads ends the writing, the end of the input all else.
    std::thread::spawn(move || {
        for answer in to_write {
            let Ok(mut line) = serde_json::to_vec(&answer) else {
                continue;
            };
            line.push(b'\n');
            if io::stdout().write_all(&line).is_err() {
                break;
            }
        }
    });
    runtime.block_on(async move {
        while let Some(task) = wanted.recv().await {
            let (roots, answers) = (Arc::clone(&roots), answers.clone());
            tokio::spawn(async move {
                // The parent may be gone: then nobody waits for it.
                let _ = answers.send(perform(task, &roots).await);
            });
        }
    });
    Ok(())
}

fn roots(setup: &Setup) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        setup
            .roots
            .iter()
            .filter_map(|text| STANDARD.decode(text).ok())
            .map(CertificateDer::from),
    );
    roots
}

/// What is known of a try besides its end.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    cookie: Option<u64>,
    connect: Option<Duration>,
    took: Duration,
}

async fn perform(task: Task, roots: &Arc<RootCertStore>) -> Observation {
    let limit = Duration::from_millis(task.limit_ms);
    let mut trace = Trace::default();
    let ending = match &task.act {
        Act::Dns {
            server,
            tcp,
            name,
            v6,
        } => dns::ask(*server, *tcp, name, *v6, limit, &mut trace).await,
        Act::Encrypted { server, name, v6 } => {
            encrypted::ask(server, name, *v6, roots, limit, &mut trace).await
        }
        Act::Idle { route, hold_ms } => {
            exchange::idle(route, Duration::from_millis(*hold_ms), limit, &mut trace).await
        }
        Act::Bytes {
            route,
            pieces,
            expects_hello,
        } => exchange::send(route, pieces, *expects_hello, limit, &mut trace).await,
        Act::Handshake { route, name } => {
            handshake::shake(route, name, roots, limit, &mut trace).await
        }
        Act::Download {
            route,
            name,
            path,
            bytes,
        } => {
            let wanted = download::Wanted {
                name,
                path,
                bytes: *bytes,
            };
            download::fetch(route, wanted, roots, limit, &mut trace).await
        }
    };
    Observation {
        id: task.id,
        cookie: trace.cookie,
        connect_us: trace.connect.map(|took| took.as_micros() as u64),
        took_us: trace.took.as_micros() as u64,
        ending: ending.unwrap_or_else(Ending::Failed),
    }
}

/// An error of reading or writing on an established connection.
fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted => Failure::Reset,
        io::ErrorKind::UnexpectedEof => Failure::Closed,
        io::ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::System {
            what: error.to_string(),
        },
    }
}
