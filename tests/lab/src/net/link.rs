// SPDX-License-Identifier: MIT OR Apache-2.0
//! The link: carries frames between the two TAP devices with delay, loss and a rate, past the middlebox.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::LabError;
use crate::fault::Faults;
use crate::net::middlebox::{Direction, Middlebox};
use crate::sys::OFFLOAD_HEADER;
use crate::units::Rate;
use crate::wire::frame::{ETHERNET, cross_routers, is_unicast_ip};

/// Routers on the way between client and servers: what a TTL loses.
pub(crate) const ROUTERS: u8 = 7;
/// Frames taken from one end before the other has its turn.
const BATCH: usize = 64;
/// As large as any frame: an IP packet of 64 KiB behind its Ethernet header, if segmentation is left to others.
const LARGEST_FRAME: usize = OFFLOAD_HEADER + ETHERNET + (1 << 16);
/// A queue of more than this drops its tail.
const LONGEST_QUEUE: Duration = Duration::from_millis(250);

/// What the link does to every frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkSettings {
    pub(crate) round_trip: Duration,
    /// Share of frames lost, in each direction, from 0 to 1.
    pub(crate) loss: f64,
    pub(crate) rate: Option<Rate>,
    pub(crate) seed: u64,
    /// Frames of many segments pass whole.
    pub(crate) offload: bool,
}

impl LinkSettings {
    /// Bytes before the Ethernet header.
    fn before_frame(self) -> usize {
        if self.offload { OFFLOAD_HEADER } else { 0 }
    }
}

/// A running link. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(crate) fn start(
        client: File,
        internet: File,
        settings: LinkSettings,
        faults: Faults,
        middlebox: Middlebox,
    ) -> Result<Self, LabError> {
        let stop = Arc::new(
            eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| LabError::setup("eventfd", error))?,
        );
        let mut carrier = Carrier {
            lanes: [Lane::new(internet), Lane::new(client)],
            settings,
            dice: Rng::with_seed(settings.seed),
            faults,
            middlebox,
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new()
            .name("lab-link".to_owned())
            .spawn(move || carrier.run())
            .map_err(|error| LabError::setup("clone (a thread)", error))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Failing, the thread would live as long as the process: nothing better to do here.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Frames on their way in one direction.
#[derive(Debug)]
struct Lane {
    /// Where they arrive; what arrives at the *other* lane's end is read here.
    end: File,
    /// In order of arrival: the delay is the same for all.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// When the link has sent what it already took.
    free_at: Instant,
}

impl Lane {
    fn new(end: File) -> Self {
        Self {
            end,
            under_way: VecDeque::new(),
            free_at: Instant::now(),
        }
    }

    fn deliver(&mut self, frame: &[u8]) {
        // The kernel refuses frames while an interface goes down: they are lost like others.
        let _ = self.end.write(frame);
    }
}

#[derive(Debug)]
struct Carrier {
    /// By direction: to the internet, to the client.
    lanes: [Lane; 2],
    settings: LinkSettings,
    dice: Rng,
    faults: Faults,
    middlebox: Middlebox,
    stop: Arc<OwnedFd>,
}

impl Carrier {
    fn run(&mut self) {
        let mut buffer = vec![0u8; LARGEST_FRAME];
        loop {
            let Some(ready) = self.wait() else { return };
            if ready[0] {
                self.take(Direction::ToInternet, &mut buffer);
            }
            if ready[1] {
                self.take(Direction::ToClient, &mut buffer);
            }
            self.deliver_due();
        }
    }

    /// Waits for frames or for the time of the next delivery; `None` once the link is to stop.
    /// Of each direction: whether there are frames to take.
    fn wait(&self) -> Option<[bool; 2]> {
        let next = self
            .lanes
            .iter()
            .filter_map(|lane| lane.under_way.front())
            .map(|(due, _)| *due)
            .min();
        let timeout = next
            .map(|due| due.saturating_duration_since(Instant::now()))
            .map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            });
        let [to_internet, to_client] = &self.lanes;
        let mut sources = [
            PollFd::new(&to_client.end, PollFlags::IN),
            PollFd::new(&to_internet.end, PollFlags::IN),
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        let ready = |index: usize| !sources[index].revents().is_empty();
        if ready(2) {
            None
        } else {
            Some([ready(0), ready(1)])
        }
    }

    fn take(&mut self, direction: Direction, buffer: &mut [u8]) {
        let faults = self.faults.now();
        for _ in 0..BATCH {
            let source = &mut self.lanes[direction.reverse() as usize].end;
            let length = match source.read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let Some((offload, frame)) =
                buffer[..length].split_at_mut_checked(self.settings.before_frame())
            else {
                continue;
            };
            if !is_unicast_ip(frame) || self.is_lost() {
                continue;
            }
            let passes = self.middlebox.passes(direction, frame, &faults);
            let forged = self.middlebox.take_forged().collect::<Vec<_>>();
            // A forged packet starts halfway, when the packet that provoked it has come halfway: it arrives one way's time from now.
            for (direction, frame) in forged {
                let unsegmented = vec![0; offload.len()];
                self.send(direction, &[unsegmented, frame].concat());
            }
            if passes && cross_routers(frame, ROUTERS) {
                self.send(direction, &buffer[..length]);
            }
        }
    }

    fn send(&mut self, direction: Direction, frame: &[u8]) {
        let lane = &mut self.lanes[direction as usize];
        if self.settings.round_trip.is_zero() && self.settings.rate.is_none() {
            lane.deliver(frame);
            return;
        }
        let now = Instant::now();
        let mut leaves = now;
        if let Some(rate) = self.settings.rate {
            let begins = lane.free_at.max(now);
            if begins - now > LONGEST_QUEUE {
                return;
            }
            leaves = begins + rate.time_for(frame.len());
            lane.free_at = leaves;
        }
        lane.under_way
            .push_back((leaves + self.settings.round_trip / 2, frame.to_vec()));
    }

    fn deliver_due(&mut self) {
        let now = Instant::now();
        for lane in &mut self.lanes {
            while lane.under_way.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, frame)) = lane.under_way.pop_front() {
                    lane.deliver(&frame);
                }
            }
        }
    }

    /// A throw of the dice: the same seed loses the same frames.
    fn is_lost(&mut self) -> bool {
        self.dice.f64() < self.settings.loss
    }
}
