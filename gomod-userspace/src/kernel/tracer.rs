// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel side as one thing: attach to a cgroup, then yield events.

use std::{os::fd::BorrowedFd, thread, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{CgroupArray, HashMap, MapError, PerCpuArray, RingBuf},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{
    KernelError, OBJECT, attach,
    detach::Holder,
    events::{Event, EventKind, FileOperation, MonotonicNanos},
    heartbeat::{Heartbeat, Heartbeats},
    lock_waits::LockWaits,
    memlock,
    module_files::ModuleFiles,
    mounts,
    names::NameRedirector,
    priority::{Urgency, run_before_others},
    processes::{self, Processes},
    programs::{self, Missing, Redirected},
    redirect::{self, NearEnds, Redirector},
    ring::Ring,
    samples::Samples,
};

/// How often open connections and growing files are looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// Most records taken from the ring in one go, so that samples and timers get their turn under load, and a burst takes
/// little memory outside the ring.
const BATCH: usize = 1_024;

/// What can be chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Let the kernel programs log through aya-log (to `tracing`, target `gomod_trace::kernel`).
    pub debug: bool,
    /// Load also what redirected sockets need; what is redirected is then up to the [`Redirector`].
    pub redirect: bool,
    /// Load also what redirected questions to nameservers need; which ones are is then up to the [`NameRedirector`].
    pub names: bool,
}

/// The attached kernel programs and their events.
pub struct Tracer {
    /// Dropping it detaches and unloads everything.
    _ebpf: Ebpf,
    missing: Vec<Missing>,
    ring: Ring,
    samples: Samples,
    processes: Processes,
    files: ModuleFiles,
    lock_waits: LockWaits,
    tick: Interval,
    redirect: Option<(Redirector, Heartbeat, NearEnds)>,
    names: Option<(NameRedirector, Heartbeat)>,
    /// Records as they were read; empty but for its room, which a batch need not ask for anew.
    raw: Vec<Event>,
    /// The last batch was full: there may be more to read, without a wait.
    behind: bool,
    /// Passes on what the kernel programs have logged.
    flush_log: Option<Box<dyn FnMut() + Send>>,
}

impl Tracer {
    /// Loads each program and attaches it to the cgroup. Must be called within a tokio runtime.
    ///
    /// Programs that the kernel refuses are listed by [`Self::missing`]; without an essential one, or without the
    /// maps, it's an error.
    pub fn start(cgroup: BorrowedFd<'_>, options: Options) -> Result<Self, KernelError> {
        // A thread of its own, because it may need a mount namespace of its own.
        let (mut ebpf, mut missing) = thread::scope(|scope| {
            scope
                .spawn(|| load(cgroup, options))
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let flush_log = options.debug.then(|| kernel_log(&mut ebpf)).transpose()?;
        let ring = Ring::new(
            take_map(&mut ebpf, "EVENTS", RingBuf::try_from)?,
            take_map(&mut ebpf, "LOST", PerCpuArray::try_from)?,
        )
        .map_err(KernelError::system("cannot wait for the ring buffer"))?;
        let samples = Samples::new(take_map(&mut ebpf, "FLOWS", HashMap::try_from)?);
        let lock_waits = LockWaits::new(take_map(&mut ebpf, "LOCKING", HashMap::try_from)?);
        let (redirect, names) = redirecting(&mut ebpf, options, &missing)?;
        let foreign = processes::missing_in_pid_namespace();
        let processes = Processes::new(foreign.is_none());
        missing.extend(foreign);
        let mut tick = interval_at(Instant::now() + SAMPLE, SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            _ebpf: ebpf,
            missing,
            ring,
            samples,
            processes,
            files: ModuleFiles::default(),
            lock_waits,
            tick,
            redirect,
            names,
            raw: Vec::new(),
            behind: false,
            flush_log,
        })
    }

    /// Programs that the kernel refused; empty on a kernel that has all.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What redirects connections, once, if [`Options::redirect`] was set.
    pub fn take_redirect(&mut self) -> Option<(Redirector, Heartbeat, NearEnds)> {
        self.redirect.take()
    }

    /// What redirects questions to nameservers, once, if [`Options::names`] was set and the kernel took all that this
    /// needs.
    pub fn take_names(&mut self) -> Option<(NameRedirector, Heartbeat)> {
        self.names.take()
    }

    /// Lets the calling thread, which reads the ring, run before others: on a busy machine it would get its turn too
    /// late and records would be lost. It needs little time. To be called once the command is started, as that would
    /// inherit it.
    ///
    /// `CAP_SYS_NICE`; without it, a busy machine may lose records, which are counted.
    pub fn run_before_others(&self) {
        run_before_others(Urgency::Lossy);
    }

    /// The next events in the order of their times; empty when a sampling period went by without any. Safe to cancel.
    pub async fn next(&mut self) -> Result<Vec<Event>, KernelError> {
        let mut events = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = self.tick.tick() => {
                    self.take(&mut events);
                    self.sample(&mut events)?;
                    break;
                }
                ready = self.ring.wait(self.behind) => {
                    ready.map_err(KernelError::system("cannot wait for the ring buffer"))?;
                    self.behind = self.take(&mut events);
                    if !events.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(events)
    }

    /// What is still in the ring, and last samples: to be called when the run is over.
    pub fn finish(&mut self) -> Result<Vec<Event>, KernelError> {
        let mut events = Vec::new();
        while self.take(&mut events) {}
        self.sample(&mut events)?;
        self.files.settle(now(), &mut events);
        Ok(events)
    }

    /// Ends tracing and returns at once; what takes the kernel longer goes on in a process of its own, for about a
    /// second. Dropping the value instead waits for it.
    pub fn detach(self) {
        let holder = Holder::start();
        drop(self);
        match holder {
            Ok(holder) => drop(holder),
            Err(error) => tracing::debug!(%error, "waited for the end of the tracepoints"),
        }
    }

    /// Reads a batch, completes it and puts it in order of time. True if there may be more.
    fn take(&mut self, events: &mut Vec<Event>) -> bool {
        let mut raw = std::mem::take(&mut self.raw);
        let more = self.ring.drain(&mut raw, BATCH);
        // Per CPU the order is right; between CPUs a record may have been reserved earlier but stamped later.
        raw.sort_by_key(|event| event.at);
        events.reserve(raw.len());
        for event in raw.drain(..) {
            if let Some(event) = self.complete(event, events) {
                events.push(event);
            }
        }
        self.raw = raw;
        more
    }

    /// `None` for an event of no interest. What belongs before it goes to `events`.
    fn complete(&mut self, mut event: Event, events: &mut Vec<Event>) -> Option<Event> {
        self.samples.note(&event);
        event.kind = match event.kind {
            EventKind::Exec(mut exec) => {
                self.processes.complete(event.pid, &mut exec);
                EventKind::Exec(exec)
            }
            EventKind::Exit { code } => {
                self.processes.forget(event.pid);
                self.files.forget(event.at, event.pid, events);
                self.lock_waits.forget(event.pid);
                EventKind::Exit { code }
            }
            EventKind::File(file) if file.operation == FileOperation::LockDone => {
                EventKind::File(self.lock_waits.done(file)?)
            }
            EventKind::File(file) => {
                let cwd = self.processes.working_directory(event.pid);
                EventKind::File(self.files.complete(event.pid, file, cwd))
            }
            other => other,
        };
        Some(event)
    }

    fn sample(&mut self, events: &mut Vec<Event>) -> Result<(), KernelError> {
        if let Some(flush) = &mut self.flush_log {
            flush();
        }
        let now = now();
        self.samples.sample(now, events);
        self.files.sample(now, events);
        self.lock_waits.sample(now, events);
        let count = self.ring.newly_lost().map_err(map_error("LOST"))?;
        events.extend(Event::lost(now, count));
        Ok(())
    }
}

/// The present moment on the kernel programs' clock.
pub fn now() -> MonotonicNanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    MonotonicNanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

fn load(cgroup: BorrowedFd<'_>, options: Options) -> Result<(Ebpf, Vec<Missing>), KernelError> {
    let _unlimited = memlock::Unlimited::begin();
    let redirected = Redirected {
        connections: options.redirect,
        names: options.names,
    };
    let mut ebpf = open(redirected, if options.debug { u8::MAX } else { 0 })?;
    let mut traced: CgroupArray<_> = take_map(&mut ebpf, "TRACED", CgroupArray::try_from)?;
    traced.set(0, cgroup, 0).map_err(map_error("TRACED"))?;
    let missing = attach::attach_all(&mut ebpf, cgroup, redirected).map_err(|refused| {
        KernelError::Essential {
            program: refused.program,
            reason: refused.reason,
        }
    })?;
    Ok((ebpf, missing))
}

/// Makes the maps. The calling thread gets a mount namespace of its own and should end after it has loaded programs.
pub(super) fn open(redirected: Redirected, log_level: u8) -> Result<Ebpf, KernelError> {
    mounts::prepare().map_err(KernelError::system(
        "cannot make a private mount namespace with tracefs for the tracepoints",
    ))?;
    let group_dead = programs::group_dead_offset();
    let mut loader = EbpfLoader::new();
    for map in programs::unused_maps(redirected) {
        loader.map_max_entries(map, 1);
    }
    loader
        .btf(None)
        .override_global("GROUP_DEAD_OFFSET", &group_dead, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .load(OBJECT)
        .map_err(|source| KernelError::Object {
            source: Box::new(source),
            remedy: "check `ulimit -l`, the memory limit of this cgroup and /proc/sys/kernel/unprivileged_bpf_disabled",
        })
}

type Redirecting = (
    Option<(Redirector, Heartbeat, NearEnds)>,
    Option<(NameRedirector, Heartbeat)>,
);

/// The agent's hands on what is to be redirected.
fn redirecting(
    ebpf: &mut Ebpf,
    options: Options,
    missing: &[Missing],
) -> Result<Redirecting, KernelError> {
    let with_connections = options.redirect && programs::connections_work_without(missing);
    let with_names = options.names && programs::names_work_without(missing);
    if !with_connections && !with_names {
        return Ok((None, None));
    }
    let heartbeats = Heartbeats::open(ebpf)?;
    let connections = with_connections
        .then(|| redirect::open(ebpf))
        .transpose()?
        .map(|(redirector, near_ends)| (redirector, heartbeats.accelerator(), near_ends));
    let names = with_names
        .then(|| NameRedirector::open(ebpf))
        .transpose()?
        .map(|redirector| (redirector, heartbeats.stub()));
    Ok((connections, names))
}

/// Kernel programs log through a ring buffer of their own, which drops without saying so: for debugging only.
fn kernel_log(ebpf: &mut Ebpf) -> Result<Box<dyn FnMut() + Send>, KernelError> {
    let mut logger = aya_log::EbpfLogger::init(ebpf).map_err(|error| KernelError::System {
        what: "cannot read the log of the kernel programs",
        source: std::io::Error::other(error),
    })?;
    Ok(Box::new(move || logger.flush()))
}

pub(super) fn take_map<M>(
    ebpf: &mut Ebpf,
    name: &'static str,
    convert: impl FnOnce(aya::maps::Map) -> Result<M, MapError>,
) -> Result<M, KernelError> {
    ebpf.take_map(name)
        .ok_or_else(|| MapError::InvalidName { name: name.into() })
        .and_then(convert)
        .map_err(map_error(name))
}

pub(super) fn map_error(name: &'static str) -> impl FnOnce(MapError) -> KernelError {
    move |source| KernelError::Map { name, source }
}
