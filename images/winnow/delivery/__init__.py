"""Delivery: the kept clips of a release as files that the field's loaders read, whole or not there."""
