// SPDX-License-Identifier: MIT OR Apache-2.0
//! Composes kernel redirection, trust overlay and accelerator into one thing that `run` can hold.

mod policies;
mod project;
mod provisions;
mod settings;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

pub(super) use self::policies::Learned;
use self::policies::{KnownPolicies, TrustVariables};
use self::provisions::Provisions;
pub(super) use self::provisions::{Prepared, databases, prepare, trusted};
use super::background::Background;
use crate::{
    accelerator::{
        Accelerator, Limits, Origin, Origins, Parts, Serving, Sums, Told, Way, Why,
        engine::{AheadLimits, Engine, Knowledge, Stored},
        mirrors::Mirror,
        upstream::{Resolve, Upstream, UpstreamOptions},
    },
    golang::{ProxyFile, Settings, needs::Plan},
    kernel::{
        self, Heartbeat, NearEnds, Redirector, Tracer,
        events::{self, Event, EventKind, Exec, FetchedAhead, Pid},
        netns_cookie,
    },
    launch::Duty,
};

/// Past this long without a sign of life of the accept loops, connections go direct.
const QUIET: Duration = Duration::from_secs(1);
/// What is fetched ahead is told this often: counting looks at every file.
const AHEAD: Duration = Duration::from_millis(100);
/// At the end, requests at hand get this long.
const GRACE: Duration = Duration::from_millis(200);
/// Steps of our own connections on their way to the timeline.
const ATTEMPTS: usize = 4_096;
/// At the end, what came last gets this long to be verified and written to the store.
const SETTLE: Duration = Duration::from_secs(5);

/// What the command line chose.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    /// Whether anything is fetched before it's asked for.
    pub(super) prefetch: bool,
    /// How much of that, bytes.
    pub(super) prefetch_limit: u64,
    /// Further module proxies.
    pub(super) mirrors: Vec<Mirror>,
}

/// The accelerator at work.
pub(super) struct Acceleration {
    runtime: Background,
    serving: Serving,
    told: mpsc::Receiver<Told>,
    answered: mpsc::Receiver<Event>,
    attempts: mpsc::Receiver<Event>,
    redirector: Redirector,
    heartbeat: Heartbeat,
    policies: Arc<KnownPolicies>,
    engine: Arc<Engine>,
    stored: Option<Arc<Stored>>,
    prefetch: bool,
    /// What the command was started with.
    trust: TrustVariables,
    /// What the user was told of connections that are not carried.
    said: BTreeSet<Why>,
    /// What was told last of what is fetched ahead, and when that was.
    ahead: Option<(Instant, FetchedAhead)>,
}

impl Acceleration {
    /// Begins to serve, and to redirect: what is not yet known of a process is spliced. Without a `resolver`, the
    /// system's is asked for the addresses of hosts.
    pub(super) fn start(
        provisions: Provisions,
        tracer: &mut Tracer,
        choices: Choices,
        resolver: Option<Arc<dyn Resolve>>,
    ) -> anyhow::Result<Self> {
        let (mut redirector, mut heartbeat, near_ends) =
            tracer.take_redirect().ok_or_else(|| {
                anyhow::anyhow!("the kernel refused a program that redirecting connections needs")
            })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("accelerator")
            .on_thread_start(|| super::preamble::drop_privileges(Duty::Carrying))
            .enable_all()
            .build()?;
        let runtime = Background::from(runtime);
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Without IPv6, connections over it do not exist.
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
        let netns = netns_cookie(&v4)?;
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        redirector.listen(netns, Some(port(&v4)?), v6.as_ref().map(port).transpose()?)?;
        // A `go` may connect before its exec is told.
        redirector.add_ports(&provisions.ports)?;
        let policies = Arc::new(KnownPolicies::default());
        let guard = runtime.enter();
        let mut options = UpstreamOptions::new(provisions.roots);
        if let Some(resolver) = resolver {
            options.resolver = resolver;
        }
        let (sender, attempts) = mpsc::channel(ATTEMPTS);
        options.attempts = Some(sender);
        let upstream = Upstream::new(options)?;
        let limits = AheadLimits {
            bytes: choices.prefetch_limit,
            ..AheadLimits::default()
        };
        let sums = Arc::new(Sums::default());
        let stored = provisions
            .store
            .map(|store| Stored::new(store, Arc::clone(&sums)));
        let knowledge = Knowledge {
            sums,
            stored: stored.clone(),
            mirrors: choices.mirrors,
        };
        let (engine, answered) = Engine::new(upstream, limits, knowledge);
        let respond: Arc<Engine> = Arc::clone(&engine);
        let accelerator = Accelerator::new(Parts {
            origins: Arc::new(Redirected { near_ends, netns }),
            policies: Arc::clone(&policies) as Arc<_>,
            respond,
            authority: provisions.authority,
            limits: Limits::default(),
        })?;
        let (serving, told) = accelerator.serve(std::iter::once(v4).chain(v6).collect())?;
        drop(guard);
        heartbeat.beat()?;
        Ok(Self {
            runtime,
            serving,
            told,
            answered,
            attempts,
            redirector,
            heartbeat,
            policies,
            engine,
            stored,
            prefetch: choices.prefetch,
            trust: provisions.trust,
            said: BTreeSet::new(),
            ahead: None,
        })
    }

    /// Shows the kernel side that we are alive, if the accept loops are. To be called several times a second.
    pub(super) fn beat(&mut self) {
        if self.serving.quiet_for() < QUIET
            && let Err(error) = self.heartbeat.beat()
        {
            tracing::warn!(%error, "connections go direct from now on");
        }
    }

    /// How much was fetched ahead so far, if that was not told for a while.
    pub(super) fn ahead(&mut self) -> Option<Event> {
        let lately = |(at, _): &(Instant, FetchedAhead)| at.elapsed() < AHEAD;
        if self.ahead.as_ref().is_some_and(lately) {
            return None;
        }
        changed(&mut self.ahead, &self.engine)
    }

    /// Learns what a `go` process is set to, and begins to fetch what it will ask for.
    pub(super) fn meet(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Exec(exec) => self.executed(event.pid, exec),
            EventKind::Exit { .. } => {
                self.policies.forget(event.pid);
                self.engine.askers().forget(event.pid);
                self.serving.forget(event.pid);
            }
            _ => {}
        }
    }

    fn executed(&mut self, pid: Pid, exec: &Exec) {
        self.policies.forget(pid);
        self.engine.askers().forget(pid);
        let is_go = exec.go_version.is_some();
        let done = self.redirector.set_go(pid, is_go).and_then(|()| {
            if !is_go {
                return Ok(None);
            }
            let Some(learned) = Learned::of(pid, exec) else {
                return Ok(None);
            };
            let policy = learned.policy(&self.trust);
            self.redirector.add_ports(&policy.ports())?;
            Ok(Some((learned, policy)))
        });
        let policy = match done {
            Ok(Some((learned, policy))) => {
                let trusts_us = !policy.trusts_others;
                if let Some(stored) = &self.stored {
                    stored.meet(learned.settings());
                }
                let foreseen = learned.foreseen(exec);
                let asker = Arc::new(learned.asker(&foreseen));
                self.engine.sums().add(&foreseen.sums);
                self.engine.askers().meet(pid, Arc::clone(&asker));
                if self.prefetch && trusts_us {
                    let _guard = self.runtime.enter();
                    self.engine.ahead().fetch(foreseen.urls, &asker.via);
                    self.engine.checksums().foresee(&asker, foreseen.lookups);
                }
                Some(policy)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, %pid, "connections of this process go direct");
                None
            }
        };
        // Last: a connection that was quicker waits for it, and is to find what is fetched ahead.
        self.policies.learn(pid, policy);
    }

    /// The next thing that the accelerator did. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            Some(told) = self.told.recv() => {
                self.explain(&told);
                carried(told)
            }
            Some(event) = self.answered.recv() => Some(event),
            Some(event) = self.attempts.recv() => Some(event),
            else => None,
        }
    }

    /// Says once why traffic that could be carried is not: it's the user who can change that.
    fn explain(&mut self, told: &Told) {
        let Told::Connection {
            why,
            host: Some(host),
            ..
        } = told
        else {
            return;
        };
        let line = match why {
            Why::CertificateRejected => "go does not accept the certificate of this run",
            Why::OtherTrust => {
                "go is told to read other certificate files (SSL_CERT_FILE, SSL_CERT_DIR) than the command was"
            }
            _ => return,
        };
        if self.said.insert(*why) {
            super::say(format_args!("passed through, not carried: {line} ({host})"));
        }
    }

    /// Ends it: nothing is redirected any more, requests at hand are answered. Returns what happened last.
    pub(super) fn finish(mut self) -> Vec<Event> {
        // The cgroup goes away next, so that a failure has no consequence.
        let _ = self.redirector.stop();
        let carrying_lost = self.runtime.block_on(self.serving.shutdown(GRACE));
        if let Some(stored) = &self.stored {
            let settled = self.runtime.block_on(stored.settle(SETTLE));
            let late = "there was no time left to hash and write them";
            if let Some(problem) = stored.problem().or((!settled).then_some(late)) {
                super::say(format_args!("not all files were kept: {problem}"));
            }
        }
        // What is still fetched ahead is let go, which is told too: nothing is to look as if it had met with silence.
        self.runtime.end();
        let mut events = Vec::new();
        while let Ok(told) = self.told.try_recv() {
            events.extend(carried(told));
        }
        for receiver in [&mut self.answered, &mut self.attempts] {
            while let Ok(event) = receiver.try_recv() {
                events.push(event);
            }
        }
        events.extend(changed(&mut self.ahead, &self.engine));
        let count = carrying_lost + self.engine.events_lost();
        events.extend(Event::lost(kernel::now(), count));
        events
    }
}

/// How much was fetched ahead, if that has changed since it was told.
fn changed(told: &mut Option<(Instant, FetchedAhead)>, engine: &Engine) -> Option<Event> {
    let so_far = engine.ahead().so_far();
    let before = told.replace((Instant::now(), so_far));
    before
        .is_none_or(|(_, before)| before != so_far)
        .then(|| Event {
            at: kernel::now(),
            pid: Pid::default(),
            kind: EventKind::FetchedAhead(so_far),
        })
}

fn carried(told: Told) -> Option<Event> {
    match told {
        Told::Connection {
            at,
            pid,
            cookie,
            way,
            why,
            host,
        } => Some(Event {
            at,
            pid,
            kind: EventKind::Carried {
                cookie,
                way: match way {
                    Way::Accelerated => events::Way::Accelerated,
                    Way::Spliced => events::Way::Spliced,
                },
                why: why.to_string(),
                host,
            },
        }),
        // The kernel tells of ends.
        Told::Ended { .. } => None,
    }
}

/// The kernel's knowledge, as the accelerator asks for it.
struct Redirected {
    near_ends: NearEnds,
    netns: u64,
}

impl Origins for Redirected {
    fn take(&self, peer: SocketAddr, _local: SocketAddr) -> Option<Origin> {
        let from = self.near_ends.take(self.netns, peer)?;
        Some(Origin {
            destination: from.destination,
            pid: from.pid,
            cookie: from.cookie,
        })
    }
}

/// Whether the module cache has a file, so that `go` asks nobody for it.
fn is_cached(settings: &Settings, file: &ProxyFile) -> bool {
    let (Some(cache), Ok(path)) = (&settings.mod_cache, file.relative_path()) else {
        return false;
    };
    cache.join("cache/download").join(path).exists()
}

/// URLs of a plan at the module proxies that `go` will ask.
fn urls(plan: &Plan, settings: &Settings) -> Vec<url::Url> {
    let mut seen = BTreeSet::new();
    plan.toolchain
        .iter()
        .chain(&plan.files)
        .filter(|file| !is_cached(settings, file))
        .filter_map(|file| {
            let route = settings.route(&file.module.path);
            let proxy = route.first_proxy()?;
            // Credentials in GOPROXY make the answers personal: left to the request itself.
            if proxy.scheme() != "https" || proxy.has_user_info() {
                return None;
            }
            url::Url::parse(&file.url(proxy).ok()?).ok()
        })
        .filter(|url| seen.insert(url.as_str().to_owned()))
        .collect()
}
