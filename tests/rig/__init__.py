"""Real components for the end-to-end tests: a private network, an engine, registries, a pretend AWS, the agent."""
