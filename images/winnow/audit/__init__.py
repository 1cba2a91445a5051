"""Samples of a release for people to judge."""
