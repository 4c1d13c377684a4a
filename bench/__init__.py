"""What the agent costs, beside what people would use instead: `make bench`."""
