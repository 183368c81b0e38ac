// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace probe`: what the network does to the way to a host, found out by trying.

mod capture;
mod watch;

use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use self::{capture::write_pcap, watch::Tracing};
use super::{preamble, say};
use crate::{
    kernel,
    launch::{Cgroup, Duty, Hierarchy, Invoker, Source, TrustStore, sweep},
    nameserver::DnsServer,
    probe::{
        Host, Verdict,
        client::Client,
        conductor::{Conductor, Options, Progress},
        hello::GoRelease,
        surroundings::{in_hosts_file, nameservers, proxy_for},
        witness::Witness,
        worker::Setup,
    },
    report::{
        Palette, check_target,
        probe::{ProbeReport, table},
        write_report,
    },
};

/// Something was found.
const FOUND: u8 = 3;

/// A file of the public module proxy that is large, never changes, and is there as long as Go is: the toolchain that
/// `go` itself fetches when a go.mod asks for it.
const LARGE_FILE: &str = "/golang.org/toolchain/@v/v0.0.1-go1.24.0.linux-amd64.zip";

/// Options of `probe`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The hosts, by name; without a port, 443.
    #[arg(required = true, value_name = "HOST[:PORT]")]
    hosts: Vec<Host>,
    /// A host that works, to compare with. The default is reserved for such uses (RFC 2606), served by others than the
    /// module hosts, and in nobody's way.
    #[arg(long, value_name = "HOST", default_value = "www.example.com")]
    control: Host,
    /// Tries of each experiment, from 1 to 20; below 5, nothing is called confirmed.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    tries: u32,
    /// Whose ClientHello is sent.
    #[arg(long, value_name = "VERSION", default_value = GoRelease::NEWEST.number())]
    go: GoRelease,
    /// The file of which the first part is fetched, to see whether something cuts or slows transfers.
    #[arg(long, value_name = "PATH", default_value = LARGE_FILE)]
    path: String,
    /// Resolvers that are asked encrypted, beside the system's nameservers.
    #[arg(
        long,
        value_name = "URL",
        value_parser = DnsServer::encrypted,
        help = "Ask this resolver, too: tls://HOST[:PORT], or https://HOST[:PORT]/PATH. Shows whether names that the \
                system's nameservers do not give are known elsewhere. May be given several times"
    )]
    dns: Vec<DnsServer>,
    /// Ignore `HTTPS_PROXY`.
    #[arg(long)]
    direct: bool,
    /// Write the report (JSON, schema gomod-trace.probe/1) to FILE.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the packets, as pcapng for Wireshark, to FILE. Needs root.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Probes all hosts; says by its exit code whether all is well.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    preamble::start_log(false);
    for host in &arguments.hosts {
        anyhow::ensure!(
            host.name != arguments.control.name,
            "the control is the host itself ({host}): name another with --control"
        );
    }
    anyhow::ensure!(
        arguments.path.starts_with('/')
            && arguments.path.bytes().all(|byte| byte.is_ascii_graphic()),
        "--path {:?} is no path of a URL: it begins with / and has no spaces",
        arguments.path
    );
    let invoker = Invoker::detect()?;
    invoker.with_file_rights(|| {
        [&arguments.json, &arguments.pcap]
            .into_iter()
            .flatten()
            .try_for_each(|path| check_target(path))
    })??;
    let cgroup = match kernel::preflight()
        .map_err(anyhow::Error::from)
        .and_then(|()| prepare())
    {
        Ok(cgroup) => Some(cgroup),
        Err(error) if arguments.pcap.is_some() => {
            return Err(error.context("--pcap needs tracing"));
        }
        Err(error) => {
            say(format_args!("not traced, so with less evidence: {error:#}"));
            None
        }
    };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
        .and_then(|runtime| {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    outcome = probe(arguments, &invoker, cgroup.as_ref()) => outcome,
                    number = interrupted() => Ok(ExitCode::from(128 + number?)),
                }
            })
        });
    if let Some(cgroup) = cgroup
        && let Err(error) = cgroup.dismantle()
    {
        say(format_args!("{error}"));
    }
    outcome
}

fn prepare() -> Result<Cgroup> {
    let hierarchy = Hierarchy::find()?;
    for swept in sweep(&hierarchy) {
        tracing::info!("removed the cgroup of a run that had crashed: {swept:?}");
    }
    Ok(Cgroup::create(&hierarchy)?)
}

/// The number of the signal that asks to end.
async fn interrupted() -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => libc::SIGINT as u8,
        _ = terminate.recv() => libc::SIGTERM as u8,
    })
}

async fn probe(
    arguments: &Arguments,
    invoker: &Invoker,
    cgroup: Option<&Cgroup>,
) -> Result<ExitCode> {
    let started = OffsetDateTime::now_utc();
    let nameservers = nameservers()?;
    let setup = setup(invoker)?;
    let tracing = match cgroup.map(|cgroup| Tracing::start(cgroup, arguments.pcap.is_some())) {
        Some(Err(error)) if arguments.pcap.is_some() => return Err(error),
        Some(Err(error)) => {
            say(format_args!("not traced, so with less evidence: {error:#}"));
            None
        }
        Some(Ok(tracing)) => Some(tracing),
        None => None,
    };
    let client = Client::start(
        &words(invoker, cgroup.filter(|_| tracing.is_some())),
        &setup,
    )
    .await?;
    let worker = client.pid();
    if tracing.is_some() {
        preamble::drop_privileges(Duty::Agent);
    }
    let options = Options {
        tries: arguments.tries,
        release: arguments.go,
        path: arguments.path.clone(),
        bytes: 256 * 1024,
        resolvers: each_once(&arguments.dns),
    };
    let bar = progress_bar(arguments.quiet);
    let mut host_shown = String::new();
    let shown = RefCell::new(&mut host_shown);
    let mut show = |progress: Progress<'_>| {
        bar.set_length(progress.of as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(format!("{}: {}", shown.borrow(), progress.stage));
    };
    let witness = tracing.as_ref().map(|tracing| Rc::clone(&tracing.witness));
    let mut conductor = Conductor::new(client, witness, options, &mut show);
    let mut hosts = Vec::new();
    for host in &arguments.hosts {
        **shown.borrow_mut() = host.to_string();
        let proxy = if arguments.direct {
            None
        } else {
            proxy_for(host, |name| {
                invoker.variable(name).and_then(|value| value.to_str())
            })
            .await?
        };
        let known = if proxy.is_some() {
            Vec::new()
        } else {
            in_hosts_file(&host.name)
        };
        if !arguments.dns.is_empty() && (proxy.is_some() || !known.is_empty()) {
            say(format_args!(
                "{host}: --dns is not used, as {}",
                if proxy.is_some() {
                    "the HTTP proxy looks up the name"
                } else {
                    "/etc/hosts has the address"
                }
            ));
        }
        let probed = conductor
            .probe(
                host,
                &arguments.control,
                proxy.as_ref(),
                &nameservers,
                &known,
            )
            .await?;
        if !arguments.quiet {
            let text = table(
                &probed,
                tracing.is_some(),
                Palette::for_stream(&io::stdout()),
            );
            bar.suspend(|| io::stdout().write_all(text.as_bytes()))
                .context("cannot write to standard output")?;
        }
        hosts.push(probed);
    }
    bar.finish_and_clear();
    conductor.finish().await;
    if let Some(tracing) = tracing {
        let witness = tracing.finish().await;
        if witness.borrow().missed() > 0 {
            say(format_args!(
                "{} kernel events found no room: evidence and capture may lack some",
                witness.borrow().missed()
            ));
        }
        if let Some(path) = &arguments.pcap {
            let witness: &Witness = &witness.borrow();
            invoker.with_file_rights(|| write_pcap(path, witness, &hosts, worker))??;
        }
    }
    if let Some(path) = &arguments.json {
        let report = ProbeReport::build(started, &hosts);
        invoker.with_file_rights(|| write_report(path, &report))??;
    }
    let well = hosts.iter().all(|host| {
        host.findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Ok)
    });
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}

fn each_once(given: &[DnsServer]) -> Vec<DnsServer> {
    let mut once: Vec<DnsServer> = Vec::new();
    for server in given {
        if !once.contains(server) {
            once.push(server.clone());
        }
    }
    once
}

/// How the worker is called.
fn words(invoker: &Invoker, cgroup: Option<&Cgroup>) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["probe-worker".into()];
    if let Some(cgroup) = cgroup {
        words.extend(["--cgroup".into(), cgroup.path().into()]);
    }
    if !matches!(invoker.source, Source::Plain) {
        let mut number = |option: &str, value: String| {
            words.extend([option.into(), value.into()]);
        };
        number("--uid", invoker.uid.to_string());
        number("--gid", invoker.gid.to_string());
        if !invoker.groups.is_empty() {
            let groups: Vec<String> = invoker.groups.iter().map(u32::to_string).collect();
            number("--groups", groups.join(","));
        }
    }
    words
}

/// What Go trusts here.
fn setup(invoker: &Invoker) -> Result<Setup> {
    let store = TrustStore::read(invoker)?;
    let roots: Vec<String> = store
        .files()
        .flat_map(|file| CertificateDer::pem_slice_iter(file).flatten())
        .map(|certificate| STANDARD.encode(&certificate))
        .collect();
    anyhow::ensure!(
        !roots.is_empty(),
        "no trusted certificate was found: install the system's CA certificates"
    );
    Ok(Setup { roots })
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // Hides itself where standard error is no terminal.
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}/{len} [{elapsed}]") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
