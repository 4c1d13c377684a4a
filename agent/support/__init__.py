"""The support bundle: collects what support needs, and removes secrets from it."""
