"""Every warning code, caused for real and mended, with the agent as a process among servers that misbehave."""
