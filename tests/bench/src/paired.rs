// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pairs of runs, one with tracing and one without, interleaved so that a drift of the machine hits both sides alike.

use anyhow::Result;

/// With or without tracing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The command alone.
    Untraced,
    /// The command under `gomod-trace run`.
    Traced,
}

/// What both sides of one pair gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<T> {
    pub(crate) untraced: T,
    pub(crate) traced: T,
}

/// Runs `count` pairs in the order ABBA…, after one run of each side that warms caches and is not counted.
pub(crate) fn run<T>(
    what: &str,
    count: usize,
    mut once: impl FnMut(Side) -> Result<T>,
) -> Result<Vec<Pair<T>>> {
    eprintln!("{what}: warming up");
    once(Side::Untraced)?;
    once(Side::Traced)?;
    (0..count)
        .map(|number| {
            eprintln!("{what}: pair {} of {count}", number + 1);
            if number % 2 == 0 {
                let untraced = once(Side::Untraced)?;
                let traced = once(Side::Traced)?;
                Ok(Pair { untraced, traced })
            } else {
                let traced = once(Side::Traced)?;
                let untraced = once(Side::Untraced)?;
                Ok(Pair { untraced, traced })
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_swap_their_order() {
        use Side::{Traced, Untraced};
        let mut order = Vec::new();
        let pairs = run("test", 2, |side| {
            order.push(side);
            Ok(side)
        })
        .unwrap();
        assert_eq!(order[2..], [Untraced, Traced, Traced, Untraced]);
        assert!(
            pairs
                .iter()
                .all(|pair| pair.untraced == Untraced && pair.traced == Traced)
        );
    }
}
