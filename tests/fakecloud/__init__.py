"""A simulated AWS and simulated registries for tests: strict where AWS is strict, and able to fail on request."""
