"""What the tests need and what takes long to make: made before pytest starts, and kept between runs."""
