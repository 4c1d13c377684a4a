"""The loops and their policy. Each says by Protocols what it needs; `agent.app` hands it in."""
