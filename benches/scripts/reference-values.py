#!/usr/bin/env python3
"""Prints the reference values that benches/src/stats/reference.rs is tested against, computed without the lab.

    python3 -m pip install scipy==1.17.1 && python3 benches/scripts/reference-values.py

Nothing in CI needs it: the values stand in the tests. Where scipy has no such test (Pettitt's), every permutation is tried.
"""

import itertools

import numpy as np
from scipy import optimize, stats


def show(name, *values):
    print(f"{name}: " + ", ".join(repr(float(value)) for value in values))


for p, freedom in [(0.975, 1), (0.975, 2), (0.975, 4), (0.8, 4), (0.8, 9), (0.995, 6.5), (0.1, 3)]:
    show(f"quantile p={p} freedom={freedom}", stats.t.ppf(p, freedom))
for value, freedom in [(-2.0, 3), (0.5, 10), (-12.0, 4)]:
    show(f"below {value} freedom={freedom}", stats.t.cdf(value, freedom))

series = {
    "rising": [1.0, 1.2, 1.1, 1.4, 1.3, 1.6, 1.5, 1.9, 1.7, 2.0],
    "steady": [1.0, 0.96, 1.05, 1.02, 0.94, 1.01, 0.99, 1.06, 0.97, 1.03],
    "tied": [1, 1, 2, 2, 2, 3, 3, 4, 4, 4],
    "long": [np.sin(1.7 * i) + 0.01 * i for i in range(80)],
}
for name, values in series.items():
    exact = len(set(values)) == len(values) and len(values) <= 60
    places = range(len(values))
    p = stats.kendalltau(places, values, method="exact" if exact else "asymptotic").pvalue
    show(f"trend {name}: p, slope", p, stats.theilslopes(values, places)[0])

for values in ([5.0, 5.1, 4.9, 5.05, 6.2, 6.1, 6.3, 6.15], [5.0, 6.1, 4.9, 5.05, 6.2, 5.1, 6.3, 5.2]):
    ranks = [sum(b < a for b in values) - sum(b > a for b in values) for a in values]

    def farthest(order):
        return max(abs(sum_) for sum_ in itertools.accumulate(order[:-1]))

    sums = [abs(sum_) for sum_ in itertools.accumulate(ranks[:-1])]
    as_large = [farthest(order) >= max(sums) for order in itertools.permutations(ranks)]
    show(f"level {values}: before, p", sums.index(max(sums)) + 1, sum(as_large) / len(as_large))

instances = np.array([1, 2, 3, 4, 6, 8, 12, 16.0])
law = lambda n, lambda_, sigma, kappa: n * lambda_ / (1 + sigma * (n - 1) + kappa * n * (n - 1))
scatter = np.array([1.01, 0.985, 1.02, 0.99, 1.005, 1.015, 0.98, 1.0])
throughput = np.round(law(instances, 955.0, 0.061, 0.0031) * scatter, 1)
fitted, _ = optimize.curve_fit(
    lambda n, log_lambda, sigma, kappa: np.log(law(n, np.exp(log_lambda), sigma, kappa)),
    instances,
    np.log(throughput),
    p0=[np.log(900), 0.05, 0.001],
    xtol=1e-15,
    ftol=1e-15,
)
show("law: throughput", *throughput)
show("law: λ, σ, κ", np.exp(fitted[0]), fitted[1], fitted[2])

first = np.array([5.02, 4.95, 5.11, 5.2, 5.05, 4.99, 5.15, 5.08, 4.9, 5.1])
second = np.array([4.21, 4.35, 4.18, 4.40, 4.27, 4.31, 4.25, 4.22, 4.38, 4.29])
tail = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
interval = stats.bootstrap(
    (np.log(first), np.log(second)),
    lambda a, b, axis=-1: np.median(a, axis=axis) - np.median(b, axis=axis),
    n_resamples=200_000,
    confidence_level=1 - 2 * tail,
    method="percentile",
    rng=np.random.default_rng(1),
).confidence_interval
show("ratio: value, low, high", np.exp(np.median(np.log(first)) - np.median(np.log(second))), *np.exp(interval))

# Bloom's minimum detectable effect of an interval 0.95 to 1.07 from seven units, on logarithms.
half = np.log(1.07 / 0.95) / 2
show("detectable, no band", np.exp(half + stats.t.ppf(0.8, 6) * half / stats.t.ppf(0.975, 6)))
show("detectable, band 1.1", np.exp(np.log(1.1) + stats.t.ppf(0.8, 6) * half / stats.t.ppf(0.975, 6)))
