"""Readers of what people say about clips: ratings, and the splits that published lists give. Rows of corpus tables."""
