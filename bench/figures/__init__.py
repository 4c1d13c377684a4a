"""One file for each topic. Its `measure(bench)` returns the figures."""
