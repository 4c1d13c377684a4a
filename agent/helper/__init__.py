"""The credential helper that docker runs. It is a program of its own, and uses nothing else of this package."""
