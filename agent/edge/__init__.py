"""Access to the outside world: one outside thing per file, and only that file imports it. No policy, no retries."""
