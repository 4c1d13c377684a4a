"""The attacks of tests/web_attacks at full length."""
