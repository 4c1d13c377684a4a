"""The container image, built and run by a real engine; and the tree in it, in images that know nothing of Python."""
