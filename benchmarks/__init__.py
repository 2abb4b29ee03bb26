"""Benchmarks: what a redirect costs, on what input, and while what breaks.

Each is a command of its own, `python -m benchmarks.NAME`, and states its results as ratios to
something measured in the same run, because times of their own drift from one run to the next.
docs/benchmarks.md explains how to read them.
"""
