// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the kernel's events while the probe goes on.

use std::{cell::RefCell, os::fd::AsFd as _, rc::Rc};

use anyhow::Result;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_local},
};

use super::super::say;
use crate::{
    kernel::{self, Tracer},
    launch::Cgroup,
    probe::witness::Witness,
};

/// The kernel's view of the worker's cgroup, kept while the probe goes on.
pub(super) struct Tracing {
    pub(super) witness: Rc<RefCell<Witness>>,
    stop: oneshot::Sender<()>,
    pump: JoinHandle<Tracer>,
}

impl Tracing {
    pub(super) fn start(cgroup: &Cgroup, payload: bool) -> Result<Self> {
        let mut tracer = Tracer::start(cgroup.as_fd(), kernel::Options::default())?;
        for missing in tracer.missing() {
            tracing::info!(program = missing.program, lost = missing.lost, "not loaded");
        }
        let witness = Rc::new(RefCell::new(Witness::new(kernel::now(), payload)));
        let (stop, mut stopped) = oneshot::channel();
        let keeper = Rc::clone(&witness);
        let pump = spawn_local(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    batch = tracer.next() => match batch {
                        Ok(batch) => take(&keeper, &batch),
                        Err(error) => {
                            say(format_args!("the rest is not seen by the kernel: {error}"));
                            break;
                        }
                    },
                }
            }
            if let Ok(batch) = tracer.finish() {
                take(&keeper, &batch);
            }
            tracer
        });
        Ok(Self {
            witness,
            stop,
            pump,
        })
    }

    pub(super) async fn finish(self) -> Rc<RefCell<Witness>> {
        drop(self.stop);
        if let Ok(tracer) = self.pump.await {
            tracer.detach();
        }
        self.witness
    }
}

fn take(witness: &RefCell<Witness>, batch: &[kernel::events::Event]) {
    let mut witness = witness.borrow_mut();
    for event in batch {
        witness.apply(event);
    }
}
