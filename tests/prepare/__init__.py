"""Steps that make what the tests need and what takes long. They run before pytest, and keep their results."""
