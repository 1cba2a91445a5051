"""Encoders and scorers: built-in ones that need no weights, and (behind the same interface) local checkpoints."""

from __future__ import annotations


def single_threaded() -> None:
    """Hold NumPy's linear algebra to one thread from now on: its results change in the last bits with the number of
    threads, and tables must not. The command line sees to it before NumPy loads, this for whoever calls otherwise.
    ConfigError where it computes with instructions of its own choice (`winnow.core.cpu`).

    Only libraries that are loaded are held: import what computes before.
    """
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_limits

    from winnow.core import cpu

    threadpool_limits(1)
    cpu.check()
