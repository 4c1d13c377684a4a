"""The bundle for support: what is collected, and what is kept out of it."""
