"""The deployment, from the environment: where the lake is, what may be fetched, how fast.

Nothing here changes what a table holds; what does is a stage's `Params` (a run's choice) or `thresholds.csv` (the
dataset's). That is why settings are in no digest.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from winnow.core.errors import ConfigError

#: Of the package: where it is installed, or where it lies in a checkout.
_PACKAGE = Path(__file__).resolve().parents[1]


def dbt_project() -> Path:
    """The dbt project that belongs to this package: `winnow/dbt` of an installed one (setup.py puts it there), else the
    folder `dbt` of the checkout."""
    inside = _PACKAGE / "dbt"
    return inside if (inside / "dbt_project.yml").is_file() else _PACKAGE.parents[1] / "dbt"


class Settings(BaseSettings):
    """Every field is the environment variable `WINNOW_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="WINNOW_", frozen=True, extra="ignore")

    lake: str = Field("lake", description="root of the lake: a local folder, or an fsspec URL (s3://…, gs://…)")
    inbox: Path = Field(Path("inbox"), description="<inbox>/<partition>/ holds one day's lists and media")
    dbt_dir: Path = Field(
        default_factory=dbt_project, description="the dbt project: inside the installed package, or the checkout's"
    )
    threads: int = Field(2, ge=1, description="threads of DuckDB; tables do not depend on it")
    scratch: Path | None = Field(
        None, description="folder for copies of a bucket's files and for work; TMPDIR/winnow-<uid> by default"
    )
    scratch_mb: int = Field(32768, ge=1, description="most disk that copies of a bucket's files take, MiB")
    weights: Path = Field(Path("weights"), description="folder of pretrained models; nothing is downloaded")
    device: str = Field("auto", description="where models run: auto (cuda if there is one), cpu, cuda, cuda:1 …")
    model_batch: int = Field(128, ge=1, description="rows that a GPU takes at a time; a CPU takes a clip's")

    benchmark_tasks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated tasks that models are trained on after every release, as in avel,parse"
    )

    memory_mb: int | None = Field(
        None, ge=64, description="most memory of a stage's process, MiB; never above nine tenths of the pod's"
    )
    stall_s: float = Field(3600.0, gt=0, description="longest time in which a stage finishes no sample, s")

    keep_releases: int | None = Field(None, ge=1, description="newest releases that `winnow clean` keeps")
    keep_days: float | None = Field(None, ge=0, description="and those that are younger, days")

    fetch_allow_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="comma-separated CIDR blocks that may be fetched from although they are not public"
    )
    fetch_rewrites: dict[str, str] = Field(
        {}, description='JSON of URL prefixes and their mirrors: {"http://a.example/": "http://127.0.0.1:8000/"}'
    )
    fetch_rate: float = Field(0.0, ge=0, description="requests per second and host that fetch may start; 0 is no limit")
    fetch_concurrency: int = Field(4, ge=1, description="downloads at a time from one host")
    fetch_timeout_s: float = Field(20.0, gt=0, description="longest silence of a connection, s")
    fetch_deadline_s: float = Field(900.0, gt=0, description="longest time for one file, s")
    fetch_max_bytes: int = Field(4 << 30, gt=0, description="largest file, bytes")

    @field_validator("benchmark_tasks", mode="before")
    @classmethod
    def _tasks(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("fetch_allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        return value


@lru_cache(maxsize=1)
def load() -> Settings:
    """The process's settings; a value that does not parse is a ConfigError that names its variable."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"WINNOW_{'_'.join(str(p) for p in e['loc'][:1]).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigError("the environment does not describe a deployment:\n  " + "\n  ".join(lines)) from error
