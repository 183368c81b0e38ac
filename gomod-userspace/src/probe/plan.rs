// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order, how many at once, and how far apart: pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::arm::{Arm, Place};

/// How gently the network is treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Tries at once.
    pub(super) at_once: usize,
    /// Tries at once at one place.
    pub(super) at_once_there: usize,
    /// Between two beginnings.
    pub(super) apart: Duration,
    /// After a failure, nothing new goes to that place for so long.
    pub(super) cool_down: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            at_once: 10,
            at_once_there: 6,
            apart: Duration::from_millis(20),
            cool_down: Duration::from_millis(200),
        }
    }
}

/// Tries that are still to be made, and how busy each place is.
#[derive(Debug)]
pub(super) struct Plan {
    pending: Vec<Arm>,
    busy: BTreeMap<Place, usize>,
    rest_until: BTreeMap<Place, Instant>,
    under_way: usize,
    last: Option<Instant>,
    pace: Pace,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Begin this.
    Begin(Arm),
    /// Nothing before then, or before something ends.
    Wait(Option<Instant>),
    /// All is done.
    Done,
}

impl Plan {
    /// Each arm `tries` times, in rounds, each round in an order of its own: what changes with time then changes for all.
    pub(super) fn rounds(arms: &[Arm], tries: u32, pace: Pace, random: &mut fastrand::Rng) -> Self {
        let mut pending = Vec::with_capacity(arms.len() * tries as usize);
        for _ in 0..tries {
            let mut round = arms.to_vec();
            random.shuffle(&mut round);
            pending.extend(round);
        }
        Self {
            pending,
            busy: BTreeMap::new(),
            rest_until: BTreeMap::new(),
            under_way: 0,
            last: None,
            pace,
        }
    }

    /// How many are still to be begun.
    pub(super) fn left(&self) -> usize {
        self.pending.len()
    }

    /// Gives up what was not begun.
    pub(super) fn stop(&mut self) {
        self.pending.clear();
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.pending.is_empty() {
            return if self.under_way == 0 {
                Next::Done
            } else {
                Next::Wait(None)
            };
        }
        if self.under_way >= self.pace.at_once {
            return Next::Wait(None);
        }
        if let Some(earliest) = self.last.map(|last| last + self.pace.apart)
            && earliest > now
        {
            return Next::Wait(Some(earliest));
        }
        let rested = |place: &Place| self.rest_until.get(place).is_none_or(|until| *until <= now);
        let free =
            |place: &Place| self.busy.get(place).copied().unwrap_or(0) < self.pace.at_once_there;
        if let Some(position) = self
            .pending
            .iter()
            .position(|arm| free(&arm.place()) && rested(&arm.place()))
        {
            let arm = self.pending.remove(position);
            *self.busy.entry(arm.place()).or_default() += 1;
            self.under_way += 1;
            self.last = Some(now);
            return Next::Begin(arm);
        }
        // Those that are free rest; the first to have rested enough is next.
        let soonest = self
            .pending
            .iter()
            .map(Arm::place)
            .filter(|place| free(place))
            .filter_map(|place| self.rest_until.get(&place).copied())
            .min();
        Next::Wait(soonest)
    }

    /// A try has ended.
    pub(super) fn ended(&mut self, arm: Arm, failed: bool, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(busy) = self.busy.get_mut(&arm.place()) {
            *busy = busy.saturating_sub(1);
        }
        if failed {
            self.rest_until
                .insert(arm.place(), now + self.pace.cool_down);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::arm::Hello;

    fn arms() -> Vec<Arm> {
        [Hello::Go, Hello::Small, Hello::NoName]
            .map(|kind| Arm::Hello {
                kind,
                address: "198.18.2.1:443".parse().unwrap(),
            })
            .to_vec()
    }

    #[test]
    fn each_arm_has_its_turn_in_each_round() {
        let mut random = fastrand::Rng::with_seed(5);
        let plan = Plan::rounds(&arms(), 4, Pace::default(), &mut random);
        let mut orders = Vec::new();
        for round in plan.pending.chunks(3) {
            let mut sorted = round.to_vec();
            sorted.sort();
            let mut expected = arms();
            expected.sort();
            assert_eq!(sorted, expected);
            orders.push(round.to_vec());
        }
        orders.dedup();
        assert!(orders.len() > 1, "never shuffled");
    }

    #[test]
    fn an_address_is_not_crowded_and_rests_after_a_failure() {
        let mut random = fastrand::Rng::with_seed(5);
        let pace = Pace {
            at_once_there: 2,
            apart: Duration::ZERO,
            ..Pace::default()
        };
        let mut plan = Plan::rounds(&arms(), 1, pace, &mut random);
        let now = Instant::now();
        let Next::Begin(first) = plan.next(now) else {
            panic!("nothing begins")
        };
        assert!(matches!(plan.next(now), Next::Begin(_)));
        assert_eq!(plan.next(now), Next::Wait(None));
        plan.ended(first, true, now);
        let rested = now + pace.cool_down;
        assert_eq!(plan.next(now), Next::Wait(Some(rested)));
        assert!(matches!(plan.next(rested), Next::Begin(_)));
        assert_eq!(plan.next(rested), Next::Wait(None));
    }
}
