"""Releases: what they read, how dbt builds them, the steps, the snapshot, publishing and querying."""
