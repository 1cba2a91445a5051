"""Every Job that the plugin can make: valid for Kubernetes 1.32 and newer, and `restricted`."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest

from tests.contracts.restricted import violations
from winnow.core.settings import Settings
from winnow.core.stage import stage_class, stage_names

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

import winnow_pod  # noqa: E402

VERSIONS = ("1.32", kubernetes_validate.latest_version().rpartition(".")[0])
CLUSTER = {"WINNOW_TAG": "0123456789ab", "WINNOW_VOLUMES": "lake=lake:/lake", "WINNOW_PODS": str(ROOT / "k8s" / "pods")}
ATTEMPT = winnow_pod.Attempt("curate", "manual__2026-11-01T00:00:00+00:00", "clip", 3, 2, "0199-uuid")
COMMANDS = [
    *(["run", name, "--batch", "2026-11-01", "--part", "3", "--parts", "8"] for name in stage_names()),
    *([name, "--batch", "2026-11-01"] for name in winnow_pod.COMMANDS),
    # Those whose image or size follows from their arguments.
    ["run", "separate", "--batch", "2026-11-01", "--part", "3", "--params", '{"separator": "cdx23"}'],
    ["fit", "--batches", "2026-11-01", "--scorer", "two_tower"],
    ["benchmark", "train", "--plan", "0123456789ab", "--cell", "avel/cpsp/random/0", "--preset", "paper"],
    ["release", "build", "--policy", "hash"],
    ["gate", "--batch", ",".join(f"2026-11-{day:02d}" for day in range(1, 31))],
]


def job(arguments: list[str], **environment: str) -> dict:
    cluster = winnow_pod.Cluster.from_environment({**CLUSTER, **environment})
    return winnow_pod.job(arguments, ATTEMPT, cluster)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: "-".join(a[:2])[:30])
def test_jobs_are_valid_and_restricted(arguments: list[str]) -> None:
    for queue, version in zip(({}, {"WINNOW_QUEUE": "winnow"}), VERSIONS, strict=True):
        made = job(arguments, **queue)
        kubernetes_validate.validate(made, version, strict=True)
        template = made["spec"]["template"]
        assert violations(template["spec"], template["metadata"].get("annotations")) == []
        assert made["spec"].get("suspend", False) is bool(queue)
        assert ("kueue.x-k8s.io/queue-name" in made["metadata"]["labels"]) is bool(queue)


def test_the_commands_take_jobs_to_every_image_and_onto_a_gpu() -> None:
    images, classes = set(), set()
    for arguments in COMMANDS:
        spec = job(arguments)["spec"]["template"]["spec"]
        images.add(spec["containers"][0]["image"].split("/")[-1].split(":")[0])
        classes.add(spec["containers"][0]["resources"]["limits"].get("nvidia.com/gpu"))
    assert images == {path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")} - {"airflow"}
    assert classes == {None, "1"}


@pytest.mark.parametrize("gpus", [1, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_gpu_pods_are_valid_and_restricted(gpus: int, version: str) -> None:
    needs = winnow_pod.Needs("model", cpu=4, memory_mb=16384, gpu=gpus)
    spec = winnow_pod.pod_template(needs, winnow_pod.Cluster.from_environment(CLUSTER))["spec"]
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}, version, strict=True
    )
    assert violations(spec) == []
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == str(gpus)
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert {"name": "shm", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]


def test_a_stage_runs_in_the_image_and_size_that_it_names() -> None:
    for name in stage_names():
        made = job(["run", name, "--batch", "2026-11-01", "--part", "0"])
        stage, container = stage_class(name), made["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"winnow/{stage.image}:0123456789ab"
        assert container["resources"]["limits"]["memory"] == f"{stage.resources.memory_mb}Mi"
        assert made["metadata"]["labels"]["winnow/stage"] == name
        assert container["args"][:2] == ["run", name]


@pytest.mark.parametrize(("preset", "gpus"), [("demo", None), ("paper", "1")])
def test_published_schedules_are_trained_on_a_gpu_and_the_demos_is_not(preset: str, gpus: str | None) -> None:
    made = job(["benchmark", "train", "--plan", "p", "--cell", "avel/cpsp/random/0", "--preset", preset])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("winnow/model:")
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
    assert made["metadata"]["labels"]["winnow/stage"] == "train"


def test_every_setting_reaches_its_pod() -> None:
    """But for where dbt's project lies, which is the image's, and the scratch folder, which is the pod's own."""
    given = {f"WINNOW_{name.upper()}": "set" for name in Settings.model_fields if name not in ("dbt_dir", "scratch")}
    assert {variable["name"] for variable in winnow_pod.deployment(given)} == given.keys()


def test_names_are_deterministic_and_differ_by_attempt() -> None:
    arguments = ["run", "clip", "--batch", "2026-11-01", "--part", "3"]
    cluster = winnow_pod.Cluster.from_environment(CLUSTER)
    first, again = winnow_pod.job(arguments, ATTEMPT, cluster), winnow_pod.job(arguments, ATTEMPT, cluster)
    assert first == again
    assert first["metadata"]["name"].startswith("clip-2026-11-01-p3-")
    later = winnow_pod.Attempt(ATTEMPT.dag, ATTEMPT.run, ATTEMPT.task, ATTEMPT.map_index, 3, "0199-other")
    assert winnow_pod.job(arguments, later, cluster)["metadata"]["name"] != first["metadata"]["name"]
    other = winnow_pod.Attempt(ATTEMPT.dag, "another run", ATTEMPT.task, ATTEMPT.map_index, 2, "0199-other")
    assert winnow_pod.job(arguments, other, cluster)["metadata"]["name"] != first["metadata"]["name"]


def test_a_job_cannot_be_made_without_a_tag() -> None:
    for tag in ("", "latest"):
        with pytest.raises(ValueError, match="WINNOW_TAG must name the images' commit"):
            job(["ingest"], WINNOW_TAG=tag)
    with pytest.raises(ValueError, match=r"WINNOW_VOLUMES: '\.\./x' is not"):
        job(["ingest"], WINNOW_VOLUMES="../x")


@pytest.mark.parametrize(
    ("where", "value", "what"),
    [
        (("hostNetwork",), True, "hostNetwork"),
        (("securityContext", "runAsNonRoot"), False, "runAsNonRoot"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccompProfile"),
        (("volumes", 0), {"name": "scratch", "hostPath": {"path": "/"}}, "hostPath"),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True, "allowPrivilegeEscalation"),
        (("containers", 0, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "adds"),
        (("containers", 0, "securityContext", "capabilities"), {}, "drop ALL"),
        (("containers", 0, "securityContext", "privileged"), True, "privileged"),
        (("containers", 0, "securityContext", "runAsUser"), 0, "runAsUser 0"),
        (("containers", 0, "ports"), [{"containerPort": 80, "hostPort": 80}], "hostPort"),
        (("securityContext", "seLinuxOptions"), {"type": "spc_t"}, "seLinuxOptions.type is spc_t"),
        (("securityContext", "seLinuxOptions"), {"user": "system_u"}, "seLinuxOptions.user"),
        (("containers", 0, "securityContext", "seLinuxOptions"), {"role": "sysadm_r"}, "seLinuxOptions.role"),
        (("securityContext", "appArmorProfile"), {"type": "Unconfined"}, "appArmorProfile is Unconfined"),
        (("containers", 0, "securityContext", "appArmorProfile"), {"type": "Unconfined"}, "winnow: appArmorProfile"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_planted_violation_is_found(where: tuple, value: object, what: str) -> None:
    spec = copy.deepcopy(job(["ingest"])["spec"]["template"]["spec"])
    at = spec
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    assert any(what in found for found in violations(spec))


def test_a_planted_annotation_is_found() -> None:
    spec = job(["ingest"])["spec"]["template"]["spec"]
    for profile, found in (("unconfined", ["winnow: AppArmor's profile is unconfined"]), ("runtime/default", [])):
        assert violations(spec, {"container.apparmor.security.beta.kubernetes.io/winnow": profile}) == found


def test_one_place_reads_which_runtime_it_is() -> None:
    tracked = subprocess.run(
        ["git", "grep", "-l", "environ.*WINNOW_RUNTIME", "--", "*.py"], cwd=ROOT, capture_output=True, text=True
    )
    readers = [name for name in tracked.stdout.split() if not name.startswith("tests/")]
    assert readers == ["plugins/winnow_stage.py"]
    assert (ROOT / readers[0]).read_text().count('environ.get("WINNOW_RUNTIME"') == 1


def test_the_image_of_a_separator_follows_from_its_model() -> None:
    """Built in, it runs beside the other measuring stages; with a checkpoint where torch is, on a GPU."""
    plain = ["run", "separate", "--batch", "a", "--params"]
    assert winnow_pod.needs(plain[:-1]).image == "media"
    assert (
        winnow_pod.needs([*plain, "{}"]).image
        == winnow_pod.needs([*plain, '{"separator": "builtin"}']).image
        == "media"
    )
    needs = winnow_pod.needs([*plain, '{"separator": "cdx23"}'])
    assert (needs.image, needs.gpu) == ("model", 1)
