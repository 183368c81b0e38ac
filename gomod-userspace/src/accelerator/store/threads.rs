// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that touch the store for the rest of a run, with the caller's rights on files and no others: the kernel
//! checks each path as for the caller, so that no link in the caller's directory makes root write elsewhere.
//!
//! Two read, and are waited for; one verifies and writes, and yields to everything else on the machine.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::Shelf;
use crate::launch::{Invoker, LaunchError};

/// Something to be done on a thread.
pub(super) type Job = Box<dyn FnOnce(&Shelf) + Send>;

const READERS: usize = 2;
/// nice(2) of the thread that writes.
const NICE: i32 = 10;

/// Dropped, the threads end when they have done what they were asked.
#[derive(Debug)]
pub(super) struct Threads {
    shelf: Arc<Shelf>,
    readers: Sender<Job>,
    writer: Sender<Job>,
    to_write: Arc<Mutex<Receiver<Job>>>,
}

impl Threads {
    pub(super) fn start(invoker: &Invoker, shelf: Arc<Shelf>) -> Result<Self, LaunchError> {
        let (readers, to_read) = channel();
        let to_read = Arc::new(Mutex::new(to_read));
        for _ in 0..READERS {
            let (shelf, jobs) = (Arc::clone(&shelf), Arc::clone(&to_read));
            invoker.spawn_with_file_rights("store-reader", move || serve(&shelf, &jobs))?;
        }
        let (writer, to_write) = channel();
        let to_write = Arc::new(Mutex::new(to_write));
        let (own, jobs) = (Arc::clone(&shelf), Arc::clone(&to_write));
        invoker.spawn_with_file_rights("store-writer", move || {
            // Without it, `go` gets a little less of the processor.
            let _ = rustix::process::setpriority_process(None, NICE);
            serve(&own, &jobs);
        })?;
        Ok(Self {
            shelf,
            readers,
            writer,
            to_write,
        })
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// As soon as a thread is free.
    pub(super) fn read(&self, job: Job) {
        // The threads live as long as this value.
        let _ = self.readers.send(job);
    }

    /// In turn.
    pub(super) fn write(&self, job: Job) {
        let _ = self.writer.send(job);
    }

    /// Lets those who read write, too, until nothing is left: on a busy machine, a thread that yields to everything
    /// hardly gets on.
    pub(super) fn hurry(&self) {
        for _ in 0..READERS {
            let jobs = Arc::clone(&self.to_write);
            self.read(Box::new(move |shelf| {
                while let Some(job) = next_at_once(&jobs) {
                    job(shelf);
                }
            }));
        }
    }
}

/// `None` if there is nothing to do. Who waits for something to do holds the lock, so it need not be waited for.
fn next_at_once(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.try_lock().ok()?.try_recv().ok()
}

fn serve(shelf: &Shelf, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else {
            return;
        };
        job(shelf);
    }
}
