"""Attacks on the status endpoint of a real agent: by web pages, by many connections, and by other users."""
