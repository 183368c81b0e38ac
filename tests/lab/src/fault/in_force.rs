// SPDX-License-Identifier: MIT OR Apache-2.0
//! The faults in force, and how often those that are counted have happened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Fault, FaultKind};

/// The faults in force now, shared by everything that applies them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<InForce>>);

#[derive(Debug, Default)]
struct InForce {
    faults: Arc<Vec<Fault>>,
    /// By the fault's place in the list and what it happened to.
    happened: HashMap<(usize, String), u32>,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let new = Self::default();
        new.set(faults);
        new
    }

    pub(crate) fn now(&self) -> Arc<Vec<Fault>> {
        self.with(|in_force| Arc::clone(&in_force.faults))
    }

    /// Replaces them; the count begins anew.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        self.with(|in_force| {
            *in_force = InForce {
                faults: Arc::new(faults),
                happened: HashMap::new(),
            }
        });
    }

    /// What the first fault that `applies` and that has not yet happened to `thing` often enough does; it counts as having
    /// happened once more.
    pub(crate) fn happens(
        &self,
        thing: &str,
        applies: impl Fn(&Fault) -> bool,
    ) -> Option<FaultKind> {
        self.with(|in_force| {
            let InForce { faults, happened } = in_force;
            faults.iter().enumerate().find_map(|(place, fault)| {
                if !applies(fault) {
                    return None;
                }
                if let Some(times) = fault.times {
                    let count = happened.entry((place, thing.to_owned())).or_default();
                    if *count >= times {
                        return None;
                    }
                    *count += 1;
                }
                Some(fault.kind)
            })
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut InForce) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_makes_room_for_the_next_thing_by_thing() {
        let faults = Faults::new(vec![
            Fault::from(FaultKind::Silence).times(2),
            Fault::from(FaultKind::TlsClose),
        ]);
        let happens = |thing| faults.happens(thing, |_| true);
        for thing in ["/a", "/b"] {
            assert_eq!(happens(thing), Some(FaultKind::Silence));
            assert_eq!(happens(thing), Some(FaultKind::Silence));
            assert_eq!(happens(thing), Some(FaultKind::TlsClose));
        }
        faults.set(faults.now().to_vec());
        assert_eq!(happens("/a"), Some(FaultKind::Silence));
    }
}
