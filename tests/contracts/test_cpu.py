"""What is published depends neither on the CPU (x86-64 with AVX2) nor on the environment: `winnow.core.cpu` is the one
place that chooses instructions, it wins over whatever a process meets, and what it cannot reach is refused."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from numpy._core import _multiarray_umath

from tests.contracts import computed
from tests.unit.helpers import Count, cut, runtime
from tests.unit.signals import moving_square, mp4, sine
from winnow.core import cpu
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.media.clip_writer import Encoding

ROOT = Path(__file__).resolve().parents[2]
needs_the_level = pytest.mark.skipif(
    not cpu.is_x86() or bool(cpu.lacking()), reason="equality is claimed for x86-64 CPUs with AVX2"
)
#: What NumPy chooses loops by, all of it: where a level is switched off, those above it stay.
ABOVE_THE_BASELINE = " ".join(_multiarray_umath.__cpu_dispatch__)
#: Environments that want other instructions, all at once; the pin must win over each. A core or level that this CPU
#: lacks is named too: it would end the process if it were obeyed.
HOSTILE = {
    "less": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": ABOVE_THE_BASELINE,
        "NUMBA_CPU_NAME": "generic",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ARROW_USER_SIMD_LEVEL": "NONE",
        "OMP_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "4",
    },
    "other": {
        "OPENBLAS_CORETYPE": "Sandybridge",
        "NPY_ENABLE_CPU_FEATURES": "X86_V2",
        "NUMBA_CPU_NAME": "x86-64-v2",
        "NUMBA_CPU_FEATURES": "-avx,-fma",
        "OPENCV_CPU_DISABLE": "AVX2,AVX",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NUMBA_ENABLE_AVX": "0",
    },
    "more": {
        "OPENBLAS_CORETYPE": "SkylakeX",
        "NPY_ENABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_SPR",
        "NUMBA_CPU_NAME": "skylake-avx512",
        "ATEN_CPU_CAPABILITY": "avx512",
        "OMP_NUM_THREADS": "2",
    },
}
TOUCHED = {*cpu.INSTRUCTIONS, *cpu.THREADS, *cpu.REMOVED, "OPENCV_CPU_DISABLE", "GLIBC_TUNABLES"}


def clean() -> dict[str, str]:
    """The environment without all that a pin or a test is about, and with this checkout's package."""
    return {name: value for name, value in os.environ.items() if name not in TOUCHED} | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "images"), str(ROOT)])
    }


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wave = sine(3, 440, -12, channels=2)
    wave[:, ::4410] += 0.3
    path = tmp_path_factory.mktemp("cpu") / "clip.mp4"
    path.write_bytes(mp4(moving_square(3), wave))
    return path


def run(clip: Path, environment: Mapping[str, str], *options: str) -> dict:
    """What computations gave in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.computed", str(clip), *options],
        env=clean() | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def plain(clip: Path) -> dict:
    """In an environment that says nothing, as a pod's."""
    return run(clip, {})


@needs_the_level
@pytest.mark.parametrize("name", HOSTILE)
def test_the_same_bytes_in_every_environment(clip: Path, plain: dict, name: str) -> None:
    assert set(plain["digests"]) == {*computed.NUMBERS, *computed.MEDIA}
    assert run(clip, HOSTILE[name]) == plain
    assert plain["check"] == "right"


@needs_the_level
def test_without_the_pin_other_bytes_come_out_and_are_refused(clip: Path, plain: dict) -> None:
    """What this file is for can be seen: each kind of library, left to the environment or to somebody else's code."""
    only = "fit,chance,sound,picture"
    less = run(clip, HOSTILE["less"], "--unpinned", "--ffmpeg", "sse2", "--only", only)
    differs = {name for name, digest in less["digests"].items() if digest != plain["digests"][name]}
    assert {"fit", "sound"} <= differs
    for what in ("NumPy uses its baseline", "of numpy is OpenBLAS for Nehalem", "of scipy is OpenBLAS", "FFmpeg uses"):
        assert what in less["check"]
    assert "winnow.core.cpu.pin()" in less["check"]


@needs_the_level
def test_compiled_kernels_give_the_same_bytes_on_any_cpu(clip: Path, plain: dict, tmp_path: Path) -> None:
    """Numba is pinned for its cache's sake alone: it is the only one that is left to itself here."""
    generic = cpu.INSTRUCTIONS | cpu.THREADS | {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    found = run(clip, generic, "--unpinned", "--only", "selection,kmeans")
    assert found["digests"] == {name: plain["digests"][name] for name in ("selection", "kmeans")}


@needs_the_level
@pytest.mark.parametrize(("flags", "media"), [("0", True), ("avx2", True), ("mmx+sse2", False)])
def test_ffmpeg_that_somebody_changes_later_is_refused(clip: Path, flags: str, media: bool) -> None:
    only = "encoding" if media else "sound"
    assert "FFmpeg uses" in run(clip, {}, "--ffmpeg", flags, "--only", only)["check"]


@needs_the_level
def test_libx264_takes_the_names_that_it_is_given(clip: Path) -> None:
    from fractions import Fraction

    options = Encoding("veryfast", 23).options(Fraction(25))
    assert options["x264-params"] == f"mbtree=0:asm={cpu.X264}"
    held = computed.encoding(clip.read_bytes())  # asserts that no name was unknown
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "X264", "SSE2")
        assert computed.encoding(clip.read_bytes()) != held
        patch.setattr(cpu, "X264", "SSE2,AVX-1024")
        with pytest.raises(AssertionError, match="asm"):
            computed.encoding(clip.read_bytes())


@needs_the_level
def test_the_command_line_and_dbt_see_the_pins_whatever_they_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import winnow.cli.main, json, os; print(json.dumps(dict(os.environ)))"
    for hostile in HOSTILE.values():
        done = subprocess.run(
            [sys.executable, "-c", code], env=clean() | hostile, capture_output=True, text=True, timeout=60, check=True
        )
        found = json.loads(done.stdout)
        assert {name: found.get(name) for name in cpu.THREADS | cpu.INSTRUCTIONS} == cpu.THREADS | cpu.INSTRUCTIONS
        assert not set(cpu.REMOVED) & set(found)
        assert cpu.pinned(clean() | hostile).items() <= found.items()
    from winnow.core.settings import Settings
    from winnow.release import dbt_run

    seen: list[Mapping[str, str]] = []

    def ran(command: list[str], *, env: Mapping[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(env)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(dbt_run.subprocess, "run", ran)
    for name, value in HOSTILE["less"].items():
        monkeypatch.setenv(name, value)
    dbt_run.run_dbt(["build"], ROOT, Settings())
    assert (cpu.THREADS | cpu.INSTRUCTIONS).items() <= seen[0].items()
    assert not set(cpu.REMOVED) & set(seen[0])


def test_a_process_whose_libraries_are_not_pinned_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Count.calls, Count.cured = [], set()
    lake = Lake(tmp_path / "lake")
    cut(lake, "words", "day", [[("a", "bee")]])
    both = ["X86_V3", "X86_V4"]
    told = SimpleNamespace(
        __cpu_dispatch__=both, __cpu_features__=dict.fromkeys(both, True), __file__=_multiarray_umath.__file__
    )
    monkeypatch.setitem(sys.modules, "numpy._core._multiarray_umath", told)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cpu, "lacking", frozenset)
    before = sorted(path.name for path in tmp_path.rglob("*.parquet"))
    with pytest.raises(ConfigError, match=r"X86_V4.*pin\(\) before NumPy"):
        runtime(lake, Count).run()
    assert sorted(path.name for path in tmp_path.rglob("*.parquet")) == before


def test_a_cpu_below_the_level_is_refused_and_another_architecture_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(cpu, "lacking", lambda: frozenset({"avx2", "fma"}))
    with pytest.raises(ConfigError, match=r"lacks avx2, fma.*Run this on an x86-64 CPU with AVX2"):
        cpu.check()
    said = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3"}
    assert cpu.pinned(said) == said | cpu.THREADS, "what this CPU cannot run was asked of it"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpu.check()
    assert cpu.pinned(said) == said | cpu.THREADS
    assert cpu.x264_options() == {}


@pytest.mark.parametrize("value", ["glibc.cpu.hwcaps=-AVX2,-FMA", "glibc.malloc.check=0:glibc.cpu.hwcaps=-AVX2_Usable"])
@needs_the_level
def test_a_c_library_that_was_told_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    cpu.check()
    monkeypatch.setenv("GLIBC_TUNABLES", value)
    with pytest.raises(ConfigError, match="start without it"):
        cpu.check()


def test_pyav_is_imported_in_one_place() -> None:
    """An `import av` elsewhere, outside of what only types need, would decode with instructions of its own choice."""
    found = []
    for path in sorted([*(ROOT / "images/winnow").rglob("*.py"), *(ROOT / "tests/world").rglob("*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == "av" for name in names):
                found.append(path.relative_to(ROOT).as_posix())
    assert set(found) == {"images/winnow/media/ffmpeg.py"}


def test_what_is_pinned_is_named_in_one_place() -> None:
    """A second list, in a Dockerfile, a pod's template or a plugin, would be the one that is forgotten."""
    words = re.compile("|".join(sorted({*cpu.INSTRUCTIONS, *cpu.THREADS, *cpu.REMOVED})))
    files = subprocess.run(
        ["git", "ls-files", "-z", "images", "plugins", "dags", "dbt", "k8s", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    named = {name for name in filter(None, files) if words.search((ROOT / name).read_text(errors="replace"))}
    assert named - {"images/README.md"} == {"images/winnow/core/cpu.py"}
