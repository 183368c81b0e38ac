// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client says first, put together from its segments, and what faults make of it.

use crate::addresses::Family;
use crate::fault::{Fault, FaultKind};
use crate::wire::client_hello::{ClientHello, Inspection, inspect};
use crate::wire::frame::Segment;

/// Bytes of a connection's beginning that are looked at.
const LOOKED_AT: usize = 32 * 1024;
/// Segments that are kept until their turn comes.
const EARLY: usize = 64;

/// A connection from the client, from its SYN on.
#[derive(Debug)]
pub(super) struct Connection {
    /// Sequence number of the client's first byte.
    first: u32,
    /// Bytes of the largest segment.
    segment: usize,
    /// The client's first bytes, as far as they came without gap.
    beginning: Vec<u8>,
    /// Segments that came before their turn.
    early: Vec<(u32, Vec<u8>)>,
    pub(super) judged: Judgement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Open,
    Pass,
    Swallow,
    Reset,
}

impl Connection {
    pub(super) fn new(first: u32, segment: usize) -> Self {
        Self {
            first,
            segment,
            beginning: Vec::new(),
            early: Vec::new(),
            judged: Judgement::Open,
        }
    }

    /// Takes a segment in and judges, unless that is done. If the connection is doomed now: by which fault, under which name.
    pub(super) fn read(
        &mut self,
        segment: &Segment<'_>,
        faults: &[Fault],
        family: Family,
    ) -> Option<(FaultKind, String)> {
        if self.judged != Judgement::Open || segment.payload.is_empty() {
            return None;
        }
        self.add(segment.sequence, segment.payload);
        let too_long = self.beginning.len() >= LOOKED_AT;
        let (hello, complete) = match inspect(&self.beginning) {
            Inspection::Complete(hello) => (hello, true),
            Inspection::Incomplete(hello) => (hello, too_long),
            Inspection::NotHello => (ClientHello::default(), true),
        };
        let found = faults.iter().find_map(|fault| {
            judge(fault, &hello, self.segment, family).map(|judgement| (judgement, fault.kind))
        });
        if let Some((judgement, kind)) = found {
            self.judged = judgement;
            return Some((kind, hello.server_name.unwrap_or_default()));
        }
        if complete {
            self.judged = Judgement::Pass;
            self.beginning = Vec::new();
        }
        None
    }

    /// Takes a segment in, whatever order they come in.
    fn add(&mut self, sequence: u32, payload: &[u8]) {
        if self.early.len() < EARLY {
            self.early.push((sequence, payload.to_vec()));
        }
        loop {
            let next = self.first.wrapping_add(self.beginning.len() as u32);
            let before = self.beginning.len();
            self.early.retain(|(sequence, bytes)| {
                // How far into this segment the wanted byte lies; "negative" for one that is still too early.
                let skip = next.wrapping_sub(*sequence) as usize;
                if skip >= 1 << 31 {
                    return true;
                }
                if self.beginning.len() == before && skip < bytes.len() {
                    self.beginning.extend_from_slice(&bytes[skip..]);
                    return false;
                }
                skip < bytes.len()
            });
            if self.beginning.len() == before {
                return;
            }
        }
    }
}

/// True for faults that look at what a client says first.
pub(super) const fn reads_hellos(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::SniReset | FaultKind::SniDrop | FaultKind::LargeHelloDrop
    )
}

fn judge(fault: &Fault, hello: &ClientHello, segment: usize, family: Family) -> Option<Judgement> {
    let named = hello
        .server_name
        .as_deref()
        .is_some_and(|name| fault.concerns(name, family));
    match fault.kind {
        FaultKind::SniReset if named => Some(Judgement::Reset),
        FaultKind::SniDrop if named => Some(Judgement::Swallow),
        FaultKind::LargeHelloDrop
            if named && hello.length.is_some_and(|length| length > segment) =>
        {
            Some(Judgement::Swallow)
        }
        _ => None,
    }
}
