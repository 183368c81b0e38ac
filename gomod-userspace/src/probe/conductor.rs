// SPDX-License-Identifier: MIT OR Apache-2.0
//! Says what is tried next: cheap arms first, and none whose answer is already known.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    Host, ProbeError,
    arm::{Arm, Side},
    client::Client,
    hello::GoRelease,
    inference::{Experiment, Finding, infer},
    plan::{Next, Pace, Plan},
    results::{Results, Seen, Try},
    surroundings::Proxy,
    task::{Act, Ending, Piece, Task},
    witness::Witness,
    work::{Work, addresses},
};
use crate::nameserver::DnsServer;

/// Go's own limit for one question (`net/dnsclient_unix.go`).
const DNS_LIMIT: Duration = Duration::from_secs(5);
/// Four SYNs, or a hello and four retransmissions of it; a longer way gets longer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long a connection that carries nothing is watched.
const IDLE: Duration = Duration::from_millis(1_500);
/// After this long nothing new begins: with the last answers, a host takes less than a minute.
const BUDGET: Duration = Duration::from_secs(45);
/// The kernel's events are there by then.
const SETTLED: Duration = Duration::from_millis(250);

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tries of each arm.
    pub tries: u32,
    /// Whose hello.
    pub release: GoRelease,
    /// The file of which the first part is fetched.
    pub path: String,
    /// How much of it, bytes.
    pub bytes: u64,
    /// Resolvers that are asked encrypted, beside the nameservers.
    pub resolvers: Vec<DnsServer>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is tried now.
    pub stage: &'a str,
    /// Tries done in this stage.
    pub done: usize,
    /// Of how many.
    pub of: usize,
}

/// Everything found out about one host.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The host.
    pub host: Host,
    /// What was tried, and what came of it.
    pub experiment: Experiment,
    /// What it means, the strongest first.
    pub findings: Vec<Finding>,
    /// Which socket was which arm's, and how its try ended.
    pub sockets: Vec<Socket>,
    /// Whose hello was sent.
    pub release: GoRelease,
    /// How long it took.
    pub took: Duration,
}

/// A socket of a try.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Kernel's number.
    pub cookie: u64,
    /// For what.
    pub arm: Arm,
    /// The try's end.
    pub ending: Ending,
}

/// Probes hosts one after the other.
pub struct Conductor<'a> {
    client: Client,
    /// Without tracing there is none.
    witness: Option<Rc<RefCell<Witness>>>,
    options: Options,
    random: fastrand::Rng,
    next_id: u32,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl<'a> Conductor<'a> {
    /// A conductor of this worker.
    pub fn new(
        client: Client,
        witness: Option<Rc<RefCell<Witness>>>,
        options: Options,
        progress: &'a mut dyn FnMut(Progress<'_>),
    ) -> Self {
        Self {
            client,
            witness,
            options,
            random: fastrand::Rng::new(),
            next_id: 0,
            progress,
        }
    }

    /// Tries everything there is to try with one host.
    pub async fn probe(
        &mut self,
        host: &Host,
        control: &Host,
        proxy: Option<&Proxy>,
        nameservers: &[IpAddr],
        known: &[IpAddr],
    ) -> Result<Probed, ProbeError> {
        let mut work = Work {
            host,
            control,
            proxy,
            began: Instant::now(),
            limit: ANSWER_LIMIT,
            sockets: Vec::new(),
            done: Vec::new(),
        };
        let asked_dns = proxy.is_none() && known.is_empty();
        if proxy.is_none() {
            self.resolve(&mut work, nameservers, asked_dns).await?;
        }
        let (targets, controls) = match proxy {
            Some(proxy) => (vec![proxy.address], vec![proxy.address]),
            None => (
                addresses(&work, Side::Target, known, host.port),
                addresses(&work, Side::Control, &[], control.port),
            ),
        };
        let mut experiment = Experiment {
            host: host.name.clone(),
            control: control.name.clone(),
            targets,
            controls,
            matrix: None,
            nameservers: nameservers.to_vec(),
            resolvers: self.options.resolvers.clone(),
            asked_dns,
            proxied: proxy.is_some(),
            results: Results::default(),
        };
        self.connect(&mut work, &experiment).await?;
        self.greet(&mut work, &mut experiment).await?;
        self.transfer(&mut work, &experiment).await?;
        if asked_dns {
            self.ask_encrypted(&mut work, &experiment.resolvers).await?;
        }

        if self.witness.is_some() {
            tokio::time::sleep(SETTLED).await;
        }
        let took = work.began.elapsed();
        experiment.results = self.with_kernel(work.done);
        let mut findings = infer(&experiment);
        for finding in &mut findings {
            if self.witness.is_none() {
                finding.evidence.value("traced", false);
            }
            if let Some(proxy) = proxy {
                finding.evidence.text("through_proxy", proxy.name.as_str());
            }
        }
        Ok(Probed {
            host: host.clone(),
            experiment,
            findings,
            sockets: work.sockets,
            release: self.options.release,
            took,
        })
    }

    /// Lets the worker end.
    pub async fn finish(self) {
        self.client.finish().await;
    }

    pub(super) async fn run(
        &mut self,
        work: &mut Work<'_>,
        stage: &str,
        arms: &[Arm],
    ) -> Result<(), ProbeError> {
        let mut plan = Plan::rounds(arms, self.options.tries, Pace::default(), &mut self.random);
        let of = plan.left();
        let mut under_way: BTreeMap<u32, Arm> = BTreeMap::new();
        (self.progress)(Progress { stage, done: 0, of });
        loop {
            if work.began.elapsed() > BUDGET {
                plan.stop();
            }
            let wake = match plan.next(Instant::now()) {
                Next::Done => return Ok(()),
                Next::Begin(arm) => {
                    let task = self.task(work, arm);
                    under_way.insert(task.id, arm);
                    self.client.submit(&task).await?;
                    continue;
                }
                Next::Wait(until) => until,
            };
            let pause = async {
                match wake {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                observed = self.client.answer() => {
                    let observed = observed?;
                    if let Some(arm) = under_way.remove(&observed.id) {
                        plan.ended(arm, observed.ending.failure_word().is_some(), Instant::now());
                        work.note(arm, observed);
                        let done = of.saturating_sub(plan.left() + under_way.len());
                        (self.progress)(Progress { stage, done, of });
                    }
                }
                () = pause => {}
            }
        }
    }

    fn task(&mut self, work: &Work<'_>, arm: Arm) -> Task {
        self.next_id = self.next_id.wrapping_add(1);
        let (host, control) = (work.host, work.control);
        let name = |of| match of {
            Side::Target => host.name.clone(),
            Side::Control => control.name.clone(),
        };
        let mut limit = work.limit;
        let act = match arm {
            Arm::Dns {
                of,
                tcp,
                v6,
                server,
            } => {
                limit = DNS_LIMIT;
                Act::Dns {
                    server: SocketAddr::new(server, 53),
                    tcp,
                    name: name(of),
                    v6,
                }
            }
            Arm::Encrypted {
                of, v6, resolver, ..
            } => {
                limit = DNS_LIMIT;
                Act::Encrypted {
                    // Its number is one of this list's.
                    server: self.options.resolvers[resolver].clone(),
                    name: name(of),
                    v6,
                }
            }
            Arm::Tcp { at, address } => Act::Idle {
                route: work.route(at, address),
                hold_ms: IDLE.as_millis() as u64,
            },
            Arm::NonTls { address } => Act::Bytes {
                route: work.route(Side::Target, address),
                pieces: vec![Piece(b"gomod-trace probe: not TLS\r\n\r\n".to_vec())],
                expects_hello: false,
            },
            Arm::Hello { kind, address } => Act::Bytes {
                route: work.route(kind.at(), address),
                pieces: kind.pieces(
                    self.options.release,
                    &host.name,
                    &control.name,
                    &mut self.random,
                ),
                expects_hello: true,
            },
            Arm::Handshake { address } => Act::Handshake {
                route: work.route(Side::Target, address),
                name: host.name.clone(),
            },
            Arm::Download { address } => Act::Download {
                route: work.route(Side::Target, address),
                name: host.name.clone(),
                path: self.options.path.clone(),
                bytes: self.options.bytes,
            },
        };
        Task {
            id: self.next_id,
            limit_ms: limit.as_millis() as u64,
            act,
        }
    }

    fn with_kernel(&self, done: Vec<(Arm, Try, Option<u64>)>) -> Results {
        let mut results = Results::default();
        for (arm, mut one, cookie) in done {
            one.seen = cookie.and_then(|cookie| self.seen(cookie));
            results.add(arm, one);
        }
        results
    }

    fn seen(&self, cookie: u64) -> Option<Seen> {
        self.witness.as_ref()?.borrow().seen(cookie)
    }
}
