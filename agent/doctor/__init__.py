"""The doctor: walks the chain from the settings to a pull, link by link, and changes nothing."""
