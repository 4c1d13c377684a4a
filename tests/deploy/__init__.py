"""The agent in the places where environments live."""
