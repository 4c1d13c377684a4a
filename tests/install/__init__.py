"""`make install`, `make uninstall`, and what shells complete."""
