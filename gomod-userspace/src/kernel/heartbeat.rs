// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signs of life for the redirecting programs: what hangs must not be redirected to.

use std::sync::{Arc, Mutex, PoisonError};

use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use gomod_ebpf_common as common;

use super::{
    KernelError,
    tracer::{map_error, now, take_map},
};

/// Shows the kernel programs that whoever owns it is alive.
pub struct Heartbeat {
    slots: Arc<Mutex<Array<MapData, u64>>>,
    slot: u32,
}

/// The table of them.
pub(super) struct Heartbeats(Arc<Mutex<Array<MapData, u64>>>);

impl Heartbeat {
    /// To be called several times a second by whoever serves what is redirected, so that it stops when serving stops.
    pub fn beat(&mut self) -> Result<(), KernelError> {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .set(self.slot, now().0, 0)
            .map_err(map_error("HEARTBEATS"))
    }
}

impl Heartbeats {
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let slots = take_map(ebpf, "HEARTBEATS", Array::try_from)?;
        Ok(Self(Arc::new(Mutex::new(slots))))
    }

    pub(super) fn accelerator(&self) -> Heartbeat {
        self.slot(common::ACCELERATOR)
    }

    pub(super) fn stub(&self) -> Heartbeat {
        self.slot(common::STUB)
    }

    fn slot(&self, slot: u32) -> Heartbeat {
        Heartbeat {
            slots: Arc::clone(&self.0),
            slot,
        }
    }
}
