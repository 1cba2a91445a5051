"""What unit tests share: a store with an S3 API."""

from tests.store import bucket, endpoint  # noqa: F401
