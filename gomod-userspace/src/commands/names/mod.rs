// SPDX-License-Identifier: MIT OR Apache-2.0
//! Composes the redirection of DNS and the stub into one thing that `run` can hold.

mod hosts;
mod told;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use rustls::RootCertStore;
use tokio::sync::watch;

use super::{
    accelerate::{Learned, trusted},
    background::Background,
};
use crate::{
    accelerator::upstream::{Resolve, Resolving},
    kernel::{
        Heartbeat, NameRedirector, Tracer, Urgency,
        events::{Event, EventKind},
        netns_cookie, now, run_before_others,
    },
    launch::{Duty, Invoker, TrustStore},
    nameserver::{
        self, Account, DnsServer, Names, ResolvConf, Serving, Stub, StubOptions, resolv_conf,
    },
};

/// Past this long without a sign of life of the stub, questions go to the nameservers themselves.
const QUIET: Duration = Duration::from_secs(1);

/// What the command line says of DNS.
#[derive(Args, Debug)]
pub(super) struct NameArguments {
    /// Leave DNS alone: no answers from our own cache.
    #[arg(long)]
    no_dns: bool,
    /// Ask SERVER instead of the nameservers of /etc/resolv.conf.
    #[arg(
        long,
        value_name = "SERVER",
        conflicts_with_all = ["no_dns", "observe"],
        help = "Ask SERVER instead of the nameservers of /etc/resolv.conf: an address (192.0.2.1, [2001:db8::1]:5353), \
                tls://HOST[:PORT], or https://HOST[:PORT]/PATH"
    )]
    dns: Option<DnsServer>,
}

impl NameArguments {
    /// Whether questions are to be redirected.
    pub(super) fn wanted(&self) -> bool {
        !self.no_dns
    }
}

/// The stub at work.
pub(super) struct NameService {
    runtime: Background,
    serving: Serving,
    account: Account,
    redirector: NameRedirector,
    heartbeat: Heartbeat,
    netns: u64,
    /// Nameservers that are answered for.
    redirected: Vec<SocketAddr>,
    /// What resolv.conf says.
    conf: watch::Receiver<ResolvConf>,
}

impl NameService {
    /// Begins to serve, and to redirect.
    pub(super) fn start(
        arguments: &NameArguments,
        invoker: &Invoker,
        tracer: &mut Tracer,
    ) -> anyhow::Result<Self> {
        let (redirector, heartbeat) = tracer
            .take_names()
            .context("the kernel refused a program that this needs")?;
        let conf = resolv_conf::Followed::new(resolv_conf::PATH)
            .with_context(|| format!("cannot read {}", resolv_conf::PATH))?;
        let options = StubOptions {
            upstream: arguments.dns.clone(),
            roots: roots(arguments.dns.as_ref(), invoker)?,
            begin_thread,
            ..StubOptions::default()
        };
        let stub = Stub::bind(&conf.current().nameservers, options)?;
        let (changed, current) = watch::channel(conf.current().clone());
        let runtime = Background::from(nameserver::runtime(begin_thread)?);
        let guard = runtime.enter();
        let (serving, account) = stub.serve()?;
        let netns = netns_cookie(std::net::UdpSocket::bind((
            std::net::Ipv4Addr::LOCALHOST,
            0,
        ))?)?;
        runtime.spawn(follow(conf, changed));
        drop(guard);
        let mut service = Self {
            runtime,
            serving,
            account,
            redirector,
            heartbeat,
            netns,
            redirected: Vec::new(),
            conf: current,
        };
        service.serving.names().complete_as(&service.conf.borrow());
        service.redirect()?;
        service.heartbeat.beat()?;
        Ok(service)
    }

    /// The addresses that the stub knows, for connections of our own.
    pub(super) fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(Resolver(self.serving.names()))
    }

    /// Shows the kernel side that we are alive, if the stub is. To be called several times a second.
    pub(super) fn beat(&mut self) {
        if self.serving.quiet_for() < QUIET
            && let Err(error) = self.heartbeat.beat()
        {
            tracing::warn!(%error, "nameservers are asked directly from now on");
        }
    }

    /// Asks ahead for the names that a `go` process will need.
    pub(super) fn meet(&mut self, event: &Event) {
        if let EventKind::Exec(exec) = &event.kind
            && exec.go_version.is_some()
            && let Some(learned) = Learned::of(event.pid, exec)
        {
            let hosts = hosts::needed(&learned, exec);
            let _guard = self.runtime.enter();
            self.serving.names().prewarm(hosts);
        }
    }

    /// The next things that the stub did. Follows resolv.conf meanwhile. Safe to cancel.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        loop {
            tokio::select! {
                told = self.account.next() => {
                    if told.is_empty() {
                        // It will not tell anything any more.
                        return std::future::pending().await;
                    }
                    return told.into_iter().filter_map(told::event).collect();
                }
                Ok(()) = self.conf.changed() => self.follow(),
            }
        }
    }

    /// resolv.conf has changed.
    fn follow(&mut self) {
        let servers = {
            let conf = self.conf.borrow_and_update();
            self.serving.names().complete_as(&conf);
            conf.nameservers.clone()
        };
        let added = {
            let _guard = self.runtime.enter();
            self.serving.add_servers(&servers)
        };
        let followed = match added {
            Ok(_) => self.redirect(),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = followed {
            tracing::warn!(
                "the nameservers in the changed resolv.conf are asked directly: {error:#}"
            );
        }
    }

    /// Redirects questions to exactly the present nameservers.
    fn redirect(&mut self) -> anyhow::Result<()> {
        let servers = self.conf.borrow().nameservers.clone();
        for server in self.redirected.extract_if(.., |old| !servers.contains(old)) {
            self.redirector.leave(self.netns, server)?;
        }
        for endpoint in self.serving.endpoints() {
            let server = endpoint.server;
            if servers.contains(&server)
                && !self.redirected.contains(&server)
                && !is_link_local(server)
            {
                self.redirector
                    .redirect(self.netns, server, endpoint.stub)?;
                self.redirected.push(server);
            }
        }
        Ok(())
    }

    /// Ends it: nothing is redirected any more. Returns what happened last.
    pub(super) fn finish(mut self) -> Vec<Event> {
        // The cgroup goes away next, so that a failure has no consequence.
        let _ = self.redirector.stop();
        // Of what is still under way is told that it was let go.
        self.runtime.end();
        let last = self.account.rest().into_iter();
        let mut events: Vec<Event> = last.filter_map(told::event).collect();
        events.extend(Event::lost(now(), self.serving.events_lost()));
        events
    }
}

/// What threads that answer do first: their delay is everybody's, and they need no privileges.
fn begin_thread() {
    run_before_others(Urgency::Awaited);
    super::preamble::drop_privileges(Duty::Plain);
}

/// Looks at resolv.conf until nobody wants to know any more.
async fn follow(mut conf: resolv_conf::Followed, changed: watch::Sender<ResolvConf>) {
    loop {
        let now = conf.changed().await.clone();
        if changed.send(now).is_err() {
            return;
        }
    }
}

/// Resolvers compare the interface of such an address, too, which nothing restores in an answer.
fn is_link_local(server: SocketAddr) -> bool {
    matches!(server.ip(), IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whom to trust for DNS over TLS and HTTPS: whom the command trusts.
fn roots(server: Option<&DnsServer>, invoker: &Invoker) -> anyhow::Result<RootCertStore> {
    match server {
        None | Some(DnsServer::Plain(_)) => Ok(RootCertStore::empty()),
        Some(DnsServer::Tls(_) | DnsServer::Https { .. }) => {
            Ok(trusted(&TrustStore::read(invoker)?))
        }
    }
}

/// The names, as the accelerator asks for them.
struct Resolver(Arc<Names>);

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move { self.0.lookup(host).await.map_err(|error| error.to_string()) })
    }
}
