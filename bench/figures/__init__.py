"""One file a theme; each has `measure(bench)`, which gives its figures."""
