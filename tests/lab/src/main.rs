// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-lab [OPTIONS] -- CMD…` runs a command on the client's side of a lab.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gomod_lab::units::{parse_duration, parse_rate, parse_share};
use gomod_lab::{CATALOGUE, Families, Fault, Identity, Lab, Modules, Rate, toolchain};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::{Pid, User};
use tracing_subscriber::EnvFilter;

/// Runs a command in a network lab: a generated Go project on one side, module hosts on the other, faults between them.
///
/// `gomod-lab faults` lists the faults.
#[derive(Debug, Parser)]
#[command(name = "gomod-lab", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    listing: Option<Listing>,
    /// Round-trip time between client and servers.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    rtt: Duration,
    /// Carry up to 64 KiB of a connection in one frame, as network cards with segmentation offload do.
    #[arg(long, conflicts_with_all = ["loss", "faults"])]
    offload: bool,
    /// Share of packets lost in each direction.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    loss: f64,
    /// What the link carries in each direction, such as 100mbit.
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<Rate>,
    /// A fault: NAME[=ARGUMENT][,host=HOST][,path=PATTERN][,family=v4|v6][,server=N][,times=N]. May be given several times.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// How many modules the project requires.
    #[arg(long, value_name = "N", default_value_t = Modules::small().count)]
    modules: u16,
    /// Average size of a module's zip in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = Modules::small().average_bytes)]
    module_bytes: u32,
    /// How many nameservers resolv.conf lists.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nameservers: u8,
    /// Address families of the client: both, v4 or v6.
    #[arg(long, value_name = "FAMILIES", default_value = "both", value_parser = parse_families)]
    families: Families,
    /// Where to put the project; kept afterwards. Unless given: a temporary directory.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// The user, by name or number, whom the project belongs to and the command runs as.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The Go version whose toolchain comes first on PATH.
    #[arg(long, value_name = "VERSION", default_value = "1.27")]
    go: String,
    /// Print what the faults did, at the end.
    #[arg(long)]
    log: bool,
    /// The command and its arguments.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Listing {
    /// Lists all faults, one line each.
    Faults,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gomod-lab: {error:#}");
            ExitCode::from(125)
        }
    }
}

fn run(arguments: Arguments) -> Result<u8> {
    if let Some(Listing::Faults) = arguments.listing {
        for entry in CATALOGUE {
            let equals = if entry.argument.is_empty() {
                String::new()
            } else {
                format!("={}", entry.argument)
            };
            println!("{:32} {}", format!("{}{equals}", entry.name), entry.about);
        }
        return Ok(0);
    }
    let [program, rest @ ..] = &arguments.command[..] else {
        bail!(
            "no command: say what to run after `--`, for instance `gomod-lab -- go mod download`"
        );
    };
    let toolchain = toolchain::find(&arguments.go)?;
    let identity = arguments.user.as_deref().map(identity_of).transpose()?;
    let modules = Modules {
        count: arguments.modules,
        average_bytes: arguments.module_bytes,
        ..Modules::small()
    };
    let mut builder = Lab::builder()
        .rtt(arguments.rtt)
        .loss(arguments.loss)
        .nameservers(arguments.nameservers)
        .families(arguments.families)
        .modules(modules);
    if let Some(rate) = arguments.rate {
        builder = builder.rate(rate);
    }
    if arguments.offload {
        builder = builder.segmentation_offload();
    }
    for fault in arguments.faults {
        builder = builder.fault(fault);
    }
    let lab = builder.start()?;
    let mut project = match &arguments.project {
        Some(directory) => lab.project_in(directory)?,
        None => lab.project()?,
    };
    if let Some(identity) = identity {
        project = project.owned_by(identity)?;
    }

    let mut command = project.foreground_command(&toolchain, program);
    command.args(rest);
    for name in ["TERM", "COLUMNS", "LINES", "NO_COLOR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    catch_signals()?;
    let mut child = command.spawn().with_context(|| {
        format!("cannot run {program:?}; is it on the project's PATH, or a path of its own?")
    })?;
    CHILD.store(child.id() as i32, Ordering::Release);
    let status = child.wait().context("cannot wait for the command")?;
    CHILD.store(0, Ordering::Release);
    if arguments.log {
        for act in lab.acts() {
            eprintln!(
                "gomod-lab: {:9.3} s  {}  {}: {}",
                act.at.as_secs_f64(),
                act.fault,
                act.host,
                act.what
            );
        }
    }
    // As a shell says it: 128 and the signal's number.
    Ok(status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1) as u8)
}

/// The running command; 0 if there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// The lab stays until the command has ended, whatever signal came: the command decides what to do about it.
///
/// The command itself starts with the signals' usual effects: handlers, unlike ignored signals, do not pass through exec.
fn catch_signals() -> Result<()> {
    for (number, handler) in [
        // The terminal sends these to the command too.
        (Signal::SIGINT, do_nothing as extern "C" fn(i32)),
        (Signal::SIGQUIT, do_nothing),
        (Signal::SIGTERM, pass_on),
        (Signal::SIGHUP, pass_on),
    ] {
        set_handler(number, SigHandler::Handler(handler))
            .with_context(|| format!("cannot catch {number}"))?;
    }
    Ok(())
}

extern "C" fn do_nothing(_signal: i32) {}

extern "C" fn pass_on(number: i32) {
    let child = CHILD.load(Ordering::Acquire);
    if child > 0
        && let Ok(number) = Signal::try_from(number)
    {
        // The command may have ended just now: then there is no one to tell.
        let _ = kill(Pid::from_raw(child), number);
    }
}

#[expect(
    unsafe_code,
    reason = "signal handlers are set by a call that cannot know what the handler does"
)]
fn set_handler(number: Signal, handler: SigHandler) -> nix::Result<()> {
    // SAFETY: the handlers load an atomic and make one system call, at most.
    unsafe { signal(number, handler) }.map(|_| ())
}

fn parse_families(text: &str) -> Result<Families, String> {
    match text {
        "both" => Ok(Families::Both),
        "v4" => Ok(Families::V4),
        "v6" => Ok(Families::V6),
        _ => Err(format!("{text:?} is none of both, v4, v6")),
    }
}

/// A user by name, or by number: one that the machine does not know has the group of the same number.
fn identity_of(user: &str) -> Result<Identity> {
    let number = user.parse::<u32>().ok();
    let known = match number {
        Some(uid) => User::from_uid(uid.into()),
        None => User::from_name(user),
    };
    match (known.context("cannot read the list of users")?, number) {
        (Some(user), _) => Ok(Identity {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }),
        (None, Some(number)) => Ok(Identity {
            uid: number,
            gid: number,
        }),
        (None, None) => bail!(
            "there is no user {user:?} on this machine; name one of /etc/passwd, or give a number"
        ),
    }
}
