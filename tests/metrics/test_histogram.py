"""Durations in buckets, as Prometheus counts them: each bucket holds all that were no longer."""

from math import inf

from chatredirect.runtime.histogram import BOUNDS, Histogram


def test_a_duration_is_in_every_bucket_that_it_fits_into() -> None:
    histogram = Histogram()
    histogram.observe(BOUNDS[3])
    histogram.observe(BOUNDS[3] * 1.001, times=5)
    totals = dict(histogram.buckets)
    assert totals[BOUNDS[2]] == 0
    assert totals[BOUNDS[3]] == 1
    assert totals[BOUNDS[4]] == 6
    assert totals[inf] == 6


def test_the_longest_and_the_shortest() -> None:
    histogram = Histogram()
    histogram.observe(0.0)
    histogram.observe(1e9, times=2)
    assert histogram.counts[0] == 1
    assert histogram.counts[-1] == 2
    assert dict(histogram.buckets)[inf] == 3
    assert histogram.seconds == 2e9
