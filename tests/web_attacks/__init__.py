"""Attacks on the status endpoint of a real agent: by web pages, by crowds, by other users."""
