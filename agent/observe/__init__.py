"""What people and machines read: the log, what is kept out of it, the metrics."""
