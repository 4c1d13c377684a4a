"""The demo: runs the agent against a simulated cloud on loopback, and explains what happens."""
