"""The doctor: runs a chain of checks from the settings to an image pull, and changes nothing."""
