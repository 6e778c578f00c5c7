//! Middle and spread of a handful of values.

/// Median, mean of the two middle values for an even count. `None` for no values or a NaN among them.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    median_of(&mut sorted)
}

/// [`median`] without the copy; reorders `values`.
pub(super) fn median_of(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) })
}

/// Middle and spread, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many values.
    pub count: usize,
    /// Smallest.
    pub min: f64,
    /// [`median`].
    pub median: f64,
    /// Largest.
    pub max: f64,
    /// Median distance from the median: half of the values are nearer. Not scaled to a normal distribution.
    pub deviation: f64,
}

/// The spread of `values`; `None` as for [`median`].
pub fn spread(values: &[f64]) -> Option<Spread> {
    let middle = median(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    Some(Spread {
        count: values.len(),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        median: middle,
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        deviation: median(&distances)?,
    })
}
