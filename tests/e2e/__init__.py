"""The agent as a process among the parts that users have."""
