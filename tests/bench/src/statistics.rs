// SPDX-License-Identifier: MIT OR Apache-2.0
//! Order statistics: they stand one run in ten that something else disturbed.

/// Values of one quantity, sorted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Takes the values in any order; `None` if there are none, or one is not a number.
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values = values.into_iter().collect::<Vec<_>>();
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Self(values))
    }

    /// All values, ascending.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The value below which the share `share` (0 to 1) of all lies, interpolated between neighbours.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let position = share.clamp(0.0, 1.0) * (self.0.len() - 1) as f64;
        let below = position.floor();
        let lower = self.0[below as usize];
        let upper = self.0[position.ceil() as usize];
        lower + (upper - lower) * (position - below)
    }

    /// The middle value.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The largest value.
    pub(crate) fn maximum(&self) -> f64 {
        self.quantile(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let sample = Sample::new([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert!((sample.median() - 2.5).abs() < 1e-12);
        assert!((sample.quantile(0.0) - 1.0).abs() < 1e-12);
        assert!((sample.maximum() - 4.0).abs() < 1e-12);
        assert!((sample.quantile(0.1) - 1.3).abs() < 1e-12);
    }

    #[test]
    fn one_disturbed_run_does_not_move_the_median_far() {
        let sample = Sample::new([1.0, 1.01, 1.02, 1.03, 90.0]).unwrap();
        assert!((sample.median() - 1.02).abs() < 1e-12);
    }

    #[test]
    fn nothing_and_nonsense_have_no_statistics() {
        assert_eq!(Sample::new([]), None);
        assert_eq!(Sample::new([1.0, f64::NAN]), None);
    }
}
