"""Faults of the store that a lake, or an export, lies in: keys that it does not know, a bucket that there is not, an
outage, a throttle. Each is said as what it is, where, and what to do, instead of by its client's traceback."""

from __future__ import annotations

from winnow.core.errors import ConfigError, TransientError, WinnowError
from winnow.core.settings import load

_KEYS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "InvalidSecurity",
        "ExpiredToken",
        "TokenRefreshRequired",
        "NotSignedUp",
        "401",
    }
)
_RIGHTS = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"})
_REGION = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraintException",
        "301",
        "307",
    }
)
_THROTTLES = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "RequestLimitExceeded",
        "429",
        "503",
    }
)
_NO_KEYS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"})
#: Clients that speak to stores: what their exceptions' modules begin with.
_CLIENTS = ("botocore", "aiobotocore", "gcsfs", "azure", "adlfs")
#: Clients' connections: their exceptions say nothing of a file.
_CONNECTIONS = ("aiohttp", "httpx", "urllib3")
_AGAIN = "Nothing half-made counts: run the same command again"


def of(error: BaseException) -> WinnowError | None:
    """What an exception of a store's client stands for; None for any other, and for a file that is not there."""
    kind, module = type(error).__name__, type(error).__module__.split(".")[0]
    if kind == "FSTimeoutError" or module in _CONNECTIONS:
        return TransientError(f"{_where()} did not answer ({kind}: {error}). {_AGAIN} when it does")
    if module not in _CLIENTS:
        return None
    if kind in _NO_KEYS:
        return ConfigError(
            f"{_where()} wants keys, and there are none ({error}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
            "AWS_PROFILE), in a cluster in the Secret `winnow-lake`"
        )
    code, status, doing = _said(error)
    if code is None and status is None:
        away = any(word in kind for word in ("Connection", "Timeout", "HTTPClient", "ServiceRequest", "IncompleteRead"))
        return TransientError(f"{_where()} did not answer ({kind}: {error}). {_AGAIN} when it does") if away else None
    said = f"{doing}: {code}"
    for codes, told in (
        (_KEYS, "does not know these keys: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"),
        (
            _RIGHTS,
            "refuses these keys this: let them read, write, list and delete below the lake's address, and look "
            "whether the bucket's name is yours",
        ),
        (_REGION, "is of another region, or another endpoint's: look at AWS_DEFAULT_REGION and AWS_ENDPOINT_URL"),
        ({"NoSuchBucket"}, "is in a bucket that there is not: look at the name, or make the bucket"),
        ({"InvalidBucketName"}, "names no bucket: a bucket has 3 to 63 lower-case letters, digits, dots and hyphens"),
        ({"RequestTimeTooSkewed"}, "says that this machine's clock is wrong: set it"),
    ):
        if code in codes:
            return ConfigError(f"{_where()} {told} ({said})")
    if code in _THROTTLES or status in (429, 503):
        return TransientError(
            f"{_where()} takes no more requests now, though it was asked ever more slowly ({said}). "
            f"{_AGAIN} later, or start fewer at a time"
        )
    if (status or 0) >= 500 or code in ("InternalError", "RequestTimeout"):
        return TransientError(f"{_where()} failed ({said}). {_AGAIN} later")
    return None


def no_bucket(error: BaseException) -> WinnowError | None:
    """ConfigError where a file is not there because its bucket is not."""
    cause = error.__cause__
    return of(cause) if cause is not None and _said(cause)[0] == "NoSuchBucket" else None


def _said(error: BaseException) -> tuple[str | None, int | None, str]:
    """The store's own code, the status of its answer, and what was asked, as far as an exception says them."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return str(response.get("Error", {}).get("Code") or status), status, getattr(error, "operation_name", "it")
    status = getattr(error, "status_code", None) or getattr(error, "code", None)  # Azure's, gcsfs's
    number = int(str(status)) if str(status).isdecimal() else None
    return (str(getattr(error, "error_code", None) or number) if number else None), number, str(error).split("\n")[0]


def _where() -> str:
    return f"the store of {load().lake}" if "://" in load().lake else "a store"
