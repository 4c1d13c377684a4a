"""The agent as a process, together with the programs that users have."""
