"""Registry Agent: keeps an environment logged in to its private container registries."""

__version__ = "1.1.0"
