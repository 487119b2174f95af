"""The words of the design as frozen data. Imports nothing of ours, does no I/O, reads no clock.

Paths are strings here; units are in the names (`rss_bytes`, `hold_s`); `monotonic` and `wall` are
seconds as floats from CLOCK_MONOTONIC and the epoch.
"""
