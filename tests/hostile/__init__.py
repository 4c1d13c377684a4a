"""Hostile neighbours, servers and programs: they gain nothing, stop nothing, and write to no screen."""
