"""One outside thing a file, and only that file imports it. No policy, no retries."""
