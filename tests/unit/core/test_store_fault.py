"""What is wrong with a store is said: what, where, what to do; the exit code asks for a retry where one helps."""

from __future__ import annotations

import re
import socket

import pytest

from winnow.cli import main as cli
from winnow.core import lake as lakes
from winnow.core import own_fault, store_fault
from winnow.core.errors import EXIT_CONFIG, EXIT_TRANSIENT, ConfigError
from winnow.core.lake import Lake


def answering(lake: Lake, monkeypatch: pytest.MonkeyPatch, status: int, code: str) -> None:
    """Have the store give one answer to everything."""
    from aiobotocore.awsrequest import AioAWSResponse

    with pytest.raises(FileNotFoundError):
        lake.read("a")

    async def send(request):
        answer = AioAWSResponse(request.url, status, {"content-type": "application/xml"}, None)
        answer._content = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode() if code else b""
        return answer

    monkeypatch.setattr(lake.fs._s3._endpoint.http_session, "send", send)


SAID = {
    "a wrong key": (403, "InvalidAccessKeyId", EXIT_CONFIG, "does not know these keys: look at AWS_ACCESS_KEY_ID"),
    "a wrong secret": (
        403,
        "SignatureDoesNotMatch",
        EXIT_CONFIG,
        "does not know these keys: look at AWS_ACCESS_KEY_ID",
    ),
    "a token that is over": (400, "ExpiredToken", EXIT_CONFIG, "does not know these keys"),
    "no right": (403, "AccessDenied", EXIT_CONFIG, "refuses these keys this: let them read, write, list and delete"),
    "no bucket": (404, "NoSuchBucket", EXIT_CONFIG, "is in a bucket that there is not: look at the name, or make"),
    "a clock": (403, "RequestTimeTooSkewed", EXIT_CONFIG, "says that this machine's clock is wrong: set it"),
    "a throttle": (503, "SlowDown", EXIT_TRANSIENT, "takes no more requests now"),
    "a throttle without words": (429, "", EXIT_TRANSIENT, "takes no more requests now"),
    "an error of its own": (500, "InternalError", EXIT_TRANSIENT, "failed .*run the same command again later"),
}


@pytest.mark.fault("a store that refuses", "any command", "said as what it is, exit code 78; nothing changed")
@pytest.mark.fault(
    "a store that throttles", "any command, for long", "said, exit code 75; the same command works later"
)
@pytest.mark.parametrize("said", SAID)
def test_what_a_store_answers_is_said(bucket: str, monkeypatch: pytest.MonkeyPatch, capsys, said: str) -> None:
    status, code, exit_code, told = SAID[said]
    monkeypatch.setenv("WINNOW_LAKE", bucket)
    monkeypatch.setitem(lakes.OPTIONS["s3"], "config_kwargs", {"retries": {"max_attempts": 1}})
    lake = Lake(bucket)
    lake.fs.retries = 1
    answering(lake, monkeypatch, status, code)
    monkeypatch.setattr(cli, "cli", lambda **_: lake.read("a"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == exit_code
    assert re.search(f"the store of {bucket} .*{told}", capsys.readouterr().err)


@pytest.mark.parametrize("ask", [lambda lake: lake.list("batches"), lambda lake: lake.read_or_none("releases/current")])
def test_a_bucket_that_is_not_there_is_no_empty_lake(bucket: str, monkeypatch: pytest.MonkeyPatch, ask) -> None:
    monkeypatch.setenv("WINNOW_LAKE", bucket.replace("lake-", "lakes-"))
    with pytest.raises(ConfigError, match=r"the store of s3://lakes-.* is in a bucket that there is not"):
        ask(Lake(bucket.replace("lake-", "lakes-")))


@pytest.mark.fault("an outage", "the store of a lake", "asked again for about a minute, then said, exit code 75")
def test_a_store_that_is_away_is_said(bucket: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setitem(lakes.OPTIONS["s3"], "config_kwargs", {"retries": {"max_attempts": 1}})
    monkeypatch.setenv("WINNOW_LAKE", bucket)
    monkeypatch.setattr("sys.argv", ["winnow", "releases", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == EXIT_TRANSIENT
    assert "did not answer (EndpointConnectionError" in capsys.readouterr().err


def test_no_keys_are_said_and_files_that_are_not_there_are_no_fault(bucket: str) -> None:
    from botocore.exceptions import ClientError, NoCredentialsError

    elsewhere = {"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": {"HTTPStatusCode": 301}}
    assert "look at AWS_DEFAULT_REGION and AWS_ENDPOINT_URL (GetObject: PermanentRedirect)" in str(
        own_fault.of(ClientError(elsewhere, "GetObject"))
    )
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in str(own_fault.of(NoCredentialsError()))
    with pytest.raises(FileNotFoundError) as gone:
        Lake(bucket).read("a")
    assert own_fault.of(gone.value) is None
    assert store_fault.of(ValueError("x")) is None
