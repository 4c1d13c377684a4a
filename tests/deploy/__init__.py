"""The agent on the platforms where environments run."""
