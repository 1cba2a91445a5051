"""Layered k-means over features that need not fit into memory."""
