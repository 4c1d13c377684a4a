"""Several agents and commands of one user at the same time, as processes."""
