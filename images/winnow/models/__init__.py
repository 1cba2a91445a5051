"""Encoders and scorers: built-in ones that need no weights, and (behind the same interface) local checkpoints."""
