"""Canaries, and the hunt for them in everything that the agent says, starts and leaves behind."""
