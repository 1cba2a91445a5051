"""Train: what a model learns from a release. Tasks, models, the loader of their vectors, and runs.

A run reads one release and nothing that came after it. Torch is imported where a model is built, never with the
package: everything that plans, lists or compares runs works without it.
"""
