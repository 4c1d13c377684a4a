"""Canaries, and the search for them in everything that the agent shows, starts and leaves behind."""
