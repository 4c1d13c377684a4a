"""The container image, built and run by a real engine, and its tree, copied into images without Python."""
