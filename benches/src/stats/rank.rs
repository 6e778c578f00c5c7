//! Rank tests, exact where it matters, and corrections for asking often.

use super::bootstrap::normal_below;

/// Largest number of values for which the exact distributions are counted: beyond it the normal
/// approximation is right to three digits and counting would take longer than a report should.
const EXACT_VALUES: usize = 120;

/// Two-sided p-value of the Mann-Whitney U test, ties by midranks.
///
/// Exact up to 120 values: the rank sums of all ways to deal the pooled values into the two samples are counted
/// (ties included), and the smaller tail is doubled. Above, the normal approximation with tie and continuity
/// correction. 1 when a sample is empty. Values must not be NaN.
/// Mann and Whitney, Annals of Mathematical Statistics 18 (1947).
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = doubled_midranks(&pooled);
    let observed: usize = ranks[..a.len()].iter().sum();
    if pooled.len() > EXACT_VALUES {
        let (n, m, total) = (a.len() as f64, b.len() as f64, pooled.len() as f64);
        let mean = n * (total + 1.0); // of the doubled rank sum
        let variance = 4.0 * n * m / 12.0 * ((total + 1.0) - tie_term(&ranks) / (total * (total - 1.0)));
        return normal_two_sided(observed as f64 - mean, variance, 1.0);
    }
    two_sided(&subset_sums(&ranks, a.len()), observed)
}

/// The smallest p-value that [`mann_whitney`] can give with samples of these sizes: 2 / C(n + m, n).
pub fn mann_whitney_smallest_p(n: usize, m: usize) -> f64 {
    if n == 0 || m == 0 {
        return 1.0;
    }
    let ways = (1..=n).fold(1.0, |ways, k| ways * (m + k) as f64 / k as f64);
    (2.0 / ways).min(1.0)
}

/// Two-sided p-value of Wilcoxon's signed-rank test of paired differences; zeros are dropped, ties by midranks.
///
/// Exact up to 120 differences: all ways to give signs to the ranks are counted. Since rounds are shuffled, each
/// swap of two engines within a round was as likely as the order that ran, so this p-value needs no assumption on
/// the noise: neither its shape nor its independence between rounds. Above, the normal approximation.
/// Wilcoxon, Biometrics Bulletin 1 (1945).
pub fn signed_rank(differences: &[f64]) -> f64 {
    let kept: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if kept.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    let ranks = doubled_midranks(&sizes);
    let observed: usize = ranks.iter().zip(&kept).filter(|(_, kept)| **kept > 0.0).map(|(rank, _)| rank).sum();
    if kept.len() > EXACT_VALUES {
        let mean = ranks.iter().sum::<usize>() as f64 / 2.0;
        let variance = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
        return normal_two_sided(observed as f64 - mean, variance, 1.0);
    }
    // One rank after another joins the positive side with probability one half.
    let mut shares = vec![0.0; ranks.iter().sum::<usize>() + 1];
    shares[0] = 1.0;
    let mut reached = 0;
    for rank in &ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let without = shares[sum];
            let with = if sum >= *rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = (without + with) / 2.0;
        }
    }
    two_sided(&shares, observed)
}

/// The smallest p-value that [`signed_rank`] can give with `count` differences: 2 / 2^count.
pub fn signed_rank_smallest_p(count: usize) -> f64 {
    if count == 0 { 1.0 } else { 2.0 * 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX)) }
}

/// Fisher's combination of independent p-values: small when any or all are, whichever way they point.
///
/// −2 Σ ln p follows chi-squared with 2k degrees of freedom when nothing differs; for discrete tests it errs
/// towards 1. 1 for no values. Fisher, "Statistical Methods for Research Workers" (1932), section 21.1.
pub fn fisher(p_values: &[f64]) -> f64 {
    let half = -p_values.iter().map(|p| p.max(f64::MIN_POSITIVE).ln()).sum::<f64>();
    let mut term = 1.0;
    let mut sum = 0.0;
    for k in 0..p_values.len() {
        if k > 0 {
            term *= half / k as f64;
        }
        sum += term;
    }
    if p_values.is_empty() { 1.0 } else { ((-half).exp() * sum).min(1.0) }
}

/// Holm's correction: adjusted p-values in the order given, so that the chance of any false claim among those
/// below α is at most α. Holm, Scandinavian Journal of Statistics 6 (1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (place, index) in order.into_iter().enumerate() {
        largest = largest.max(p_values[index] * (p_values.len() - place) as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Twice the midrank of each value, so that ranks of ties stay whole numbers.
fn doubled_midranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..].iter().take_while(|index| values[**index] == values[order[start]]).count();
        for index in &order[start..start + tied] {
            ranks[*index] = 2 * start + tied + 1;
        }
        start += tied;
    }
    ranks
}

/// Share of each sum among all subsets of `size` ranks.
fn subset_sums(ranks: &[usize], size: usize) -> Vec<f64> {
    let total: usize = ranks.iter().sum();
    // ways[k][s]: subsets of k ranks that add up to s. Counts stay below 2^120, exact enough in 53 bits.
    let mut ways = vec![vec![0.0; total + 1]; size + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for k in (1..=size).rev() {
            let (smaller, larger) = ways.split_at_mut(k);
            for sum in *rank..=reached {
                larger[0][sum] += smaller[k - 1][sum - rank];
            }
        }
    }
    let mut last = ways.pop().unwrap_or_default();
    let all: f64 = last.iter().sum();
    last.iter_mut().for_each(|count| *count /= all);
    last
}

/// Twice the smaller tail of `shares` at `observed`, at most 1.
fn two_sided(shares: &[f64], observed: usize) -> f64 {
    let below: f64 = shares[..=observed].iter().sum();
    let above: f64 = shares[observed..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

/// Σ (t³ − t) over groups of ties.
fn tie_term(ranks: &[usize]) -> f64 {
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum()
}

fn normal_two_sided(distance: f64, variance: f64, continuity: f64) -> f64 {
    if variance <= 0.0 {
        return 1.0;
    }
    (2.0 * normal_below(-(distance.abs() - continuity).max(0.0) / variance.sqrt())).min(1.0)
}
