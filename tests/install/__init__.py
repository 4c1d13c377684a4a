"""Tests of `make install`, `make uninstall`, `make dist`, the lock files, and shell completions."""
