"""The doctor, run as people run it, among pretend servers."""
