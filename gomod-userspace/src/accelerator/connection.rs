// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection from its first byte to its end: what it is, and so how it is carried.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use super::intercept::{self, InterceptError};
use super::peek::{self, Opening, Patience};
use super::policy::{Known, Policies, Policy};
use super::proxy_connect::{self, ConnectRequest};
use super::refusals::Refusals;
use super::replay::Replayed;
use super::respond::{Respond, Session};
use super::splice::{self, Copied, SpliceError};
use super::told::{Teller, Way, Why};
use super::{Authority, Origin};
use crate::wire::tls::ClientHello;

/// How long a connection waits for the settings of a process that has only just been executed. They are there within
/// milliseconds unless the machine is very busy.
const NEWCOMER: Duration = Duration::from_secs(1);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How far the end of serving has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    /// Requests at hand are still answered.
    Finishing,
    /// What is still open is reset.
    Stopped,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) policies: Arc<dyn Policies>,
    pub(super) respond: Arc<dyn Respond>,
    pub(super) authority: Arc<Authority>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) refusals: Refusals,
    pub(super) teller: Teller,
    pub(super) patience: Patience,
    pub(super) stage: watch::Receiver<Stage>,
}

/// A `CONNECT` that was answered by us: the head as the client sent it, and what it said.
struct Answered {
    head: Bytes,
    request: ConnectRequest,
}

/// What a connection opened with.
struct Opened {
    decision: Result<String, Why>,
    /// What was read after the head of an answered `CONNECT`.
    bytes: Bytes,
    /// The host that it names.
    host: Option<String>,
    answered: Option<Answered>,
}

/// Carries the connection. `client` closes by reset until somebody says otherwise.
pub(super) async fn carry(shared: Arc<Shared>, mut client: TcpStream, origin: Origin) {
    let opened = tokio::select! {
        opened = open(&shared, &mut client, &origin) => opened,
        () = reached(shared.stage.clone(), Stage::Stopped) => return,
    };
    match opened.decision.clone() {
        Ok(host) => intercept(&shared, client, origin, host, opened).await,
        Err(why) => splice(&shared, client, origin, why, opened).await,
    }
}

/// Reads the opening and decides: the host to intercept, or why not.
async fn open(shared: &Shared, client: &mut TcpStream, origin: &Origin) -> Opened {
    let mut opened = Opened {
        decision: Err(Why::SettingsUnreadable),
        bytes: Bytes::new(),
        host: None,
        answered: None,
    };
    let Some(policy) = policy(shared, origin).await else {
        return opened;
    };
    let mut bytes = BytesMut::new();
    let to_proxy = policy.leads_to_proxy(origin.destination);
    let mut opening = peek::read(client, &mut bytes, to_proxy, shared.patience).await;
    if let Opening::Connect(request, head_len) = opening {
        opened.host = Some(request.host.clone());
        if let Err(why) = permitted(shared, &policy, origin, &request.host, request.port) {
            opened.decision = Err(why);
            opened.bytes = bytes.freeze();
            return opened;
        }
        if client.write_all(proxy_connect::ESTABLISHED).await.is_err() {
            opened.decision = Err(Why::ClientGone);
            return opened;
        }
        let head = bytes.split_to(head_len).freeze();
        opened.answered = Some(Answered { head, request });
        opening = peek::read(client, &mut bytes, false, shared.patience).await;
    }
    opened.bytes = bytes.freeze();
    opened.decision = match opening {
        Opening::Hello(hello) => {
            let decision = judge(shared, &policy, origin, &hello, opened.answered.as_ref());
            opened.host = hello.server_name.or(opened.host);
            decision
        }
        Opening::Other(why) => Err(why),
        // `peek::read` gives neither; a tunnel in a tunnel is not TLS.
        Opening::Connect(..) | Opening::Incomplete(_) => Err(Why::NotTls),
    };
    opened
}

/// The settings of the process, for which a connection that is quicker than its process's exec is told waits; `None` if
/// they stay unknown.
async fn policy(shared: &Shared, origin: &Origin) -> Option<Arc<Policy>> {
    let deadline = Instant::now() + NEWCOMER;
    loop {
        match shared.policies.known(origin) {
            Known::Policy(policy) => return Some(policy),
            Known::NotYet if Instant::now() < deadline => sleep(LOOK_AGAIN).await,
            Known::LeftAlone | Known::NotYet => return None,
        }
    }
}

/// Whether a host may be intercepted at all.
fn permitted(
    shared: &Shared,
    policy: &Policy,
    origin: &Origin,
    host: &str,
    port: u16,
) -> Result<(), Why> {
    if !policy.carries(host, port) {
        return Err(Why::NotModuleHost);
    }
    if policy.trusts_others {
        return Err(Why::OtherTrust);
    }
    if !shared.authority.permits(host) {
        return Err(Why::OutsideAuthority);
    }
    match shared.refusals.why(origin.pid, host) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

fn judge(
    shared: &Shared,
    policy: &Policy,
    origin: &Origin,
    hello: &ClientHello,
    answered: Option<&Answered>,
) -> Result<String, Why> {
    let host = hello.server_name.as_deref().ok_or(Why::NoServerName)?;
    let port = match answered {
        Some(answered) if answered.request.host != host => return Err(Why::NamesDiffer),
        Some(answered) => answered.request.port,
        None => origin.destination.port(),
    };
    permitted(shared, policy, origin, host, port)?;
    if !hello.alpn.is_empty() && !hello.alpn.iter().any(|name| name == intercept::PROTOCOL) {
        return Err(Why::NoHttp1);
    }
    if !hello
        .versions
        .iter()
        .any(|version| version == "1.3" || version == "1.2")
    {
        return Err(Why::OldTls);
    }
    Ok(host.to_owned())
}

async fn intercept(
    shared: &Shared,
    client: TcpStream,
    origin: Origin,
    host: String,
    opened: Opened,
) {
    shared.teller.connection(
        &origin,
        Way::Accelerated,
        Why::ModuleHost,
        Some(host.clone()),
    );
    let connect = opened.answered.map(|answered| answered.request);
    let session = Arc::new(Session {
        origin,
        port: connect
            .as_ref()
            .map_or(origin.destination.port(), |connect| connect.port),
        host: host.clone(),
        connect,
    });
    let client = Replayed {
        opening: opened.bytes,
        stream: client,
    };
    let answered = AtomicU64::new(0);
    let ended = intercept::serve(
        client,
        Arc::clone(&shared.tls),
        session,
        Arc::clone(&shared.respond),
        &answered,
        (
            reached(shared.stage.clone(), Stage::Finishing),
            reached(shared.stage.clone(), Stage::Stopped),
        ),
    )
    .await;
    match &ended {
        Err(InterceptError::Rejected { .. }) => shared.refusals.certificate(origin.pid, &host),
        Err(InterceptError::Handshake(_) | InterceptError::TimedOut) => {
            shared.refusals.silent(origin.pid, &host);
        }
        Ok(()) | Err(InterceptError::Http(_) | InterceptError::Stopped) => {}
    }
    let error = ended.err().map(|error| error.to_string());
    let answered = answered.load(Ordering::Relaxed);
    shared.teller.ended(&origin, answered, (0, 0), error);
}

async fn splice(shared: &Shared, client: TcpStream, origin: Origin, why: Why, opened: Opened) {
    shared
        .teller
        .connection(&origin, Way::Spliced, why, opened.host);
    let copied = Copied::default();
    let ended = if why == Why::ClientGone {
        Err(SpliceError::Client(io::Error::from_raw_os_error(
            libc::ECONNRESET,
        )))
    } else {
        let stop = reached(shared.stage.clone(), Stage::Stopped);
        let head = opened.answered.map(|answered| answered.head);
        through(client, &origin, head, opened.bytes, &copied, stop).await
    };
    let error = ended.err().map(|error| error.to_string());
    shared.teller.ended(&origin, 0, copied.totals(), error);
}

async fn through(
    client: TcpStream,
    origin: &Origin,
    head: Option<Bytes>,
    opening: Bytes,
    copied: &Copied,
    stop: impl Future<Output = ()>,
) -> Result<(), SpliceError> {
    let destination = origin.destination;
    let mut stop = std::pin::pin!(stop);
    let prepared = async {
        let mut server = splice::connect(&client, destination).await?;
        let to_client = match head {
            Some(head) => proxy_connect::ask(destination, &mut server, &head)
                .await
                .map_err(SpliceError::Proxy)?,
            None => Bytes::new(),
        };
        Ok((server, to_client))
    };
    let (server, to_client) = tokio::select! {
        prepared = prepared => prepared?,
        () = &mut stop => return Err(SpliceError::Stopped),
    };
    let first = (opening, to_client);
    splice::copy(client, (server, destination), first, copied, stop).await
}

/// Waits until serving has come to `stage`; its owner gone means the end.
async fn reached(mut stages: watch::Receiver<Stage>, stage: Stage) {
    let _ = stages.wait_for(|now| *now >= stage).await;
}
