"""The twelve faults that people meet most, and that each reader of the agent must be told right."""
