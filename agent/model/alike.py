"""Recognizes the same fault of several registries, so that every reader shows it once."""


def fault_key(subject: str, *texts: str) -> tuple[str, ...]:
    """Return a key that is equal for the same fault of several subjects: its texts differ in the subject only."""
    return tuple(text.replace(subject, "HOST") if subject else text for text in texts)
