"""Readers of what people say about clips: ratings, labels by second, and the splits that published lists give. Rows of
corpus tables."""
