// SPDX-License-Identifier: MIT OR Apache-2.0
//! Standing between the caller and the child without being noticed.
//!
//! The child stays in our process group, so what the terminal sends (Ctrl-C, Ctrl-\, Ctrl-Z, hang-up) reaches it without us
//! and is not sent twice; if it has moved to a group of its own, we pass that on too, or the key would do nothing.
//! What a process sends to us (`kill`, `timeout`, a service manager, sudo) is passed on once. Two limits: a process that
//! signals our whole group can't be told from one that signals us alone, so the child gets that signal directly and from
//! us; SIGKILL and SIGSTOP can't be passed on at all.

use std::io;

use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::{Pid, getpgid, getpgrp};
use rustix::process::pidfd_send_signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::cgroup::Membership;
use super::signals::Arrival;
use super::watch::watch;
use super::{Cgroup, Child, Ending, LaunchError, Signals};

/// What the shell's job control does to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobControl {
    /// We are about to stop: a live line should leave the terminal.
    Stopping,
    /// We go on; the terminal may have changed meanwhile.
    Continued,
}

/// Waits for the child and passes on what we are sent. Made inside a tokio runtime.
pub struct Supervisor {
    child: Child,
    members: Membership,
    signals: AsyncFd<Signals>,
    ending: Option<Ending>,
    interrupt: Option<i32>,
    on_job_control: Box<dyn FnMut(JobControl)>,
}

impl Supervisor {
    /// Takes over child and signals.
    ///
    /// # Errors
    /// [`LaunchError::System`].
    pub fn new(child: Child, cgroup: &Cgroup, signals: Signals) -> Result<Self, LaunchError> {
        let signals = watch(signals, Interest::READABLE)
            .map_err(LaunchError::system("epoll_ctl", "check `ulimit -n`"))?;
        let on_job_control = Box::new(|_| {});
        Ok(Self {
            child,
            members: cgroup.membership(),
            signals,
            ending: None,
            interrupt: None,
            on_job_control,
        })
    }

    /// Is told when we stop and go on.
    pub fn on_job_control(&mut self, hook: impl FnMut(JobControl) + 'static) {
        self.on_job_control = Box::new(hook);
    }

    /// The child.
    #[must_use]
    pub const fn child(&self) -> &Child {
        &self.child
    }

    /// The last signal that asked to end while the child lived (and was left to it); `None` if none did.
    #[must_use]
    pub const fn interrupt(&self) -> Option<i32> {
        self.interrupt
    }

    /// Waits for the main process to end; signals are passed on only while this is awaited. May be cancelled and awaited
    /// again; afterwards it gives the same answer at once.
    ///
    /// # Errors
    /// [`LaunchError::System`].
    pub async fn ended(&mut self) -> Result<Ending, LaunchError> {
        loop {
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
            if let Some(ending) = self.child.try_wait().map_err(system("waitid"))? {
                self.ending = Some(ending);
                // What came until now was meant for the child, or reached it too.
                for arrival in self
                    .signals
                    .get_ref()
                    .drain()
                    .map_err(system("read of a signalfd"))?
                {
                    self.note(arrival);
                }
                return Ok(ending);
            }
            for arrival in self.arrivals().await? {
                self.note(arrival);
                self.handle(arrival)?;
            }
        }
    }

    /// Once the main process has ended: waits for a signal that asks to end the waiting for the processes it left
    /// (SIGINT, SIGTERM, SIGHUP, SIGQUIT, unless our parent had us ignore it), and gives its number. May be cancelled.
    ///
    /// # Errors
    /// [`LaunchError::System`].
    pub async fn interrupted(&mut self) -> Result<i32, LaunchError> {
        loop {
            let mut asked = None;
            for arrival in self.arrivals().await? {
                match arrival.signal {
                    Signal::SIGTSTP => self.stop_by(Signal::SIGTSTP, |_| true)?,
                    Signal::SIGCONT => (self.on_job_control)(JobControl::Continued),
                    _ if arrival.asks_to_end() => asked = asked.or(Some(arrival.signal as i32)),
                    _ => {}
                }
            }
            if let Some(signal) = asked {
                return Ok(signal);
            }
        }
    }

    async fn arrivals(&self) -> Result<Vec<Arrival>, LaunchError> {
        loop {
            let mut ready = self
                .signals
                .readable()
                .await
                .map_err(system("epoll_wait"))?;
            let arrived = self
                .signals
                .get_ref()
                .drain()
                .map_err(system("read of a signalfd"))?;
            ready.clear_ready();
            if !arrived.is_empty() {
                return Ok(arrived);
            }
        }
    }

    fn note(&mut self, arrival: Arrival) {
        if arrival.asks_to_end() {
            self.interrupt = Some(arrival.signal as i32);
        }
    }

    fn handle(&mut self, arrival: Arrival) -> Result<(), LaunchError> {
        match arrival.signal {
            Signal::SIGCHLD => self.follow_stop(),
            Signal::SIGCONT => {
                (self.on_job_control)(JobControl::Continued);
                // A continued process group includes the child; `kill -CONT` of us alone, or a child in another group, not.
                if self.stopped()?.is_some() {
                    self.send(Signal::SIGCONT)
                } else {
                    Ok(())
                }
            }
            signal if self.must_pass_on(arrival.sender) => self.send(signal),
            _ => Ok(()),
        }
    }

    fn must_pass_on(&self, sender: Option<i32>) -> bool {
        match sender {
            None => {
                getpgid(Some(Pid::from_raw(self.child.pid()))).is_ok_and(|group| group != getpgrp())
            }
            // A traced process that signals its whole group (`kill 0`) has reached the child already.
            Some(sender) => sender == 0 || !self.members.contains(sender),
        }
    }

    fn send(&self, signal: Signal) -> Result<(), LaunchError> {
        let Some(known) = rustix::process::Signal::from_named_raw(signal as i32) else {
            return Ok(());
        };
        match pidfd_send_signal(self.child.pidfd(), known) {
            // It has ended; the next look at it will tell.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(LaunchError::system(
                "pidfd_send_signal",
                "sending to the caller's process needs CAP_KILL",
            )(error.into())),
        }
    }

    fn stopped(&self) -> Result<Option<i32>, LaunchError> {
        self.child.stopped().map_err(system("waitid"))
    }

    /// Stops us as the child was stopped, so that the caller's shell sees a stopped job.
    fn follow_stop(&mut self) -> Result<(), LaunchError> {
        let Some(signal) = self
            .stopped()?
            .and_then(|signal| Signal::try_from(signal).ok())
        else {
            return Ok(());
        };
        self.stop_by(signal, |supervisor| {
            supervisor.stopped().is_ok_and(|stopped| stopped.is_some())
        })
    }

    /// Stops this process unless `still_wanted` says no. The signal is made pending first: a continue that comes after the
    /// check then takes it back, so that we can't be left stopped alone.
    fn stop_by(
        &mut self,
        signal: Signal,
        still_wanted: impl Fn(&Self) -> bool,
    ) -> Result<(), LaunchError> {
        (self.on_job_control)(JobControl::Stopping);
        if !matches!(signal, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) {
            return if still_wanted(self) {
                raise(Signal::SIGSTOP).map_err(nix_error("raise"))
            } else {
                Ok(())
            };
        }
        let only: SigSet = [signal].into_iter().collect();
        let before = only.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        let before = before.map_err(nix_error("pthread_sigmask"))?;
        kill(Pid::this(), signal).map_err(nix_error("kill"))?;
        if still_wanted(self) {
            // Here the stop takes effect, and we come back by a continue.
            only.thread_unblock()
                .map_err(nix_error("pthread_sigmask"))?;
        } else {
            let now = rustix::time::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            discard(signal, now);
        }
        before
            .thread_set_mask()
            .map_err(nix_error("pthread_sigmask"))
    }
}

/// Takes a pending signal back, if it is still there.
#[expect(unsafe_code, reason = "sigtimedwait has no safe form")]
fn discard(signal: Signal, now: rustix::time::Timespec) {
    let only: SigSet = [signal].into_iter().collect();
    let now = libc::timespec {
        tv_sec: now.tv_sec,
        tv_nsec: now.tv_nsec,
    };
    // SAFETY: set and time are initialized and only read; no information is asked for.
    unsafe { libc::sigtimedwait(only.as_ref(), std::ptr::null_mut(), &raw const now) };
}

fn system(call: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    LaunchError::system(call, "the kernel must be 5.4 or newer")
}

fn nix_error(call: &'static str) -> impl FnOnce(nix::errno::Errno) -> LaunchError {
    move |errno| LaunchError::system(call, "see signal(7)")(errno.into())
}
