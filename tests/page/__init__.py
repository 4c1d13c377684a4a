"""The page and the card in a real browser."""
