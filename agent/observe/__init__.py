"""The log, the redaction of secrets, the timeline and the metrics."""
