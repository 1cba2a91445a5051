"""The exception tree. What a stage raises decides what Airflow does next, through the process's exit code.

    WinnowError                      70   fail
    ├── ConfigError                  78   fail at once: the deployment or a parameter is wrong
    ├── ContractError                65   fail at once: data breaks a promise that a table makes
    │   ├── PartlyDone               65   … some of it, and the rest is committed: the command answers all the same
    │   └── GateFailed               65   … and Great Expectations says which table, rule and rows
    ├── TransientError               75   retry: the same command may work later
    └── FailureBudgetExceeded        70   fail: more samples failed through the system's fault than a shard may lose

A message says what happened, where, and which command to try next. A *sample* that fails is no exception of this tree:
it is a row with a Reason (`sample.SampleFailed`).
"""

from __future__ import annotations

from typing import Any

EXIT_OK = 0
EXIT_CONTRACT = 65
EXIT_FAIL = 70
EXIT_TRANSIENT = 75
EXIT_CONFIG = 78


class WinnowError(Exception):
    """Base of everything Winnow raises on purpose."""

    exit_code = EXIT_FAIL


class ConfigError(WinnowError):
    """The deployment (environment) or a run's parameter is wrong; nothing was computed."""

    exit_code = EXIT_CONFIG


class ContractError(WinnowError):
    """Data breaks a promise: a schema, a digest, a count that must agree."""

    exit_code = EXIT_CONTRACT


class PartlyDone(ContractError):
    """Some of the data could not be used; all else is committed. `answer`: what the command says of all of it."""

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class GateFailed(ContractError):
    """A Great Expectations gate found rows that must not pass."""


class TransientError(WinnowError):
    """Something outside was not there; the same command may work later."""

    exit_code = EXIT_TRANSIENT


class FailureBudgetExceeded(WinnowError):
    """Too many samples of a shard failed for reasons that are the system's, not the data's."""
