"""The loops and their policy. Each declares what it needs as Protocols; `agent.wiring` passes it in."""
