"""Neighbours, servers and programs that mean harm: none gains anything, stops anything, or writes to a screen."""
