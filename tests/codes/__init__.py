"""Every warning code is really caused and fixed, with the agent as a process and servers that misbehave."""
