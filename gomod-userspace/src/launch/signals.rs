// SPDX-License-Identifier: MIT OR Apache-2.0
//! The signals that we take as data instead of being interrupted by them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{InheritedSignals, LaunchError};

/// What is passed on to the child if a process sends it to us; stops and continues are job control's.
const FORWARDED: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// The kernel itself as the origin of a signal: a key or the hang-up of the terminal, sent to its whole process group.
const FROM_KERNEL: i32 = 0x80;

/// A signalfd on everything that is forwarded, and SIGCHLD.
///
/// Unlike handlers, it says where a signal came from: one that the terminal sent has reached the child already.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks the signals in this thread and takes them from now on.
    ///
    /// Call it first, on the main thread: threads that exist already keep their own mask and would die of a signal.
    /// A SIGCHLD that our parent had ignored becomes default here, or the child's status would be lost.
    ///
    /// # Errors
    /// [`LaunchError::System`].
    pub fn take() -> Result<Self, LaunchError> {
        // Noted before anything is changed, should the initializer not have run.
        let _ = InheritedSignals::at_start();
        default_sigchld()?;
        let mut set: SigSet = FORWARDED.into_iter().collect();
        set.add(Signal::SIGCHLD);
        set.thread_block().map_err(failed("pthread_sigmask"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags).map_err(failed("signalfd"))?;
        Ok(Self { descriptor })
    }

    /// The first signal that asks to end and came before there was a child to pass it to. Whoever gets one cleans up and
    /// ends by it: `Ending::Signaled { signal, core: false }.pass_on()`.
    ///
    /// # Errors
    /// [`LaunchError::System`].
    pub fn take_pending(&self) -> Result<Option<i32>, LaunchError> {
        let arrived = self
            .drain()
            .map_err(LaunchError::system("read of a signalfd", REMEDY))?;
        Ok(arrived
            .iter()
            .find(|arrival| arrival.asks_to_end())
            .map(|arrival| arrival.signal as i32))
    }

    /// Everything that has arrived, a SIGCONT first: whoever was just continued must not act on an older stop.
    pub(super) fn drain(&self) -> io::Result<Vec<Arrival>> {
        let mut arrived = Vec::new();
        while let Some(info) = self.descriptor.read_signal()? {
            let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else {
                continue;
            };
            let sender = (info.ssi_code != FROM_KERNEL).then_some(info.ssi_pid as i32);
            arrived.push(Arrival { signal, sender });
        }
        arrived.sort_by_key(|arrival| arrival.signal != Signal::SIGCONT);
        Ok(arrived)
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_fd().as_raw_fd()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// One signal that has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) signal: Signal,
    /// Who sent it; 0 from outside our pid namespace; `None` for the terminal.
    pub(super) sender: Option<i32>,
}

impl Arrival {
    /// Whether it would have ended us: not if our parent had us ignore it.
    pub(super) fn asks_to_end(&self) -> bool {
        matches!(
            self.signal,
            Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM
        ) && !InheritedSignals::at_start().is_ignored(self.signal as i32)
    }
}

#[expect(unsafe_code, reason = "sigaction has no safe form")]
fn default_sigchld() -> Result<(), LaunchError> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(Signal::SIGCHLD, &action) }
        .map(drop)
        .map_err(failed("sigaction"))
}

const REMEDY: &str = "check `ulimit -n`";

fn failed(call: &'static str) -> impl FnOnce(nix::errno::Errno) -> LaunchError {
    move |errno| LaunchError::system(call, REMEDY)(errno.into())
}
