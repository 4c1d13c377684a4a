"""Real parts for the end-to-end tests: a network of their own, an engine, registries, a pretend AWS, the agent."""
