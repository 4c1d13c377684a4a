"""The demo: a pretend cloud on loopback, and the story told beside it."""
