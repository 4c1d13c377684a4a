"""Compares the cost of the agent with that of what people would use instead: `make bench`."""
