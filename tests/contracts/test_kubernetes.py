"""Every manifest and every Job that the plugin can make: valid for Kubernetes 1.32 and newer, and `restricted`."""

from __future__ import annotations

import copy
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests import needs
from tests.contracts.restricted import violations
from winnow import egress
from winnow.stage import stage_class, stage_names

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

import winnow_pod  # noqa: E402

VERSIONS = ("1.32", kubernetes_validate.latest_version().rpartition(".")[0])
CLUSTER = {"WINNOW_TAG": "0123456789ab", "WINNOW_VOLUMES": "lake=lake:/lake", "WINNOW_PODS": str(ROOT / "k8s" / "pods")}
ATTEMPT = winnow_pod.Attempt("curate", "manual__2026-11-01T00:00:00+00:00", "clip", 3, 2)
COMMANDS = [
    *(["run", name, "--batch", "2026-11-01", "--part", "3", "--parts", "8"] for name in stage_names()),
    *([name, "--batch", "2026-11-01"] for name in winnow_pod.COMMANDS),
    # Those whose image or size follows from their arguments.
    ["run", "separate", "--batch", "2026-11-01", "--part", "3", "--params", '{"separator": "cdx23"}'],
    ["fit", "--batches", "2026-11-01", "--scorer", "two_tower"],
    ["release", "build", "--policy", "hash"],
    ["gate", "--batch", ",".join(f"2026-11-{day:02d}" for day in range(1, 31))],
]


def job(arguments: list[str], **environment: str) -> dict:
    cluster = winnow_pod.Cluster.from_environment({**CLUSTER, **environment})
    return winnow_pod.job(arguments, ATTEMPT, cluster)


def rendered(folder: str) -> Iterator[dict]:
    needs.kubectl()
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s" / folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    yield from yaml.safe_load_all(done.stdout)


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


@pytest.mark.parametrize("folder", ["overlays/local", "overlays/prod", "base"])
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(folder: str, version: str) -> None:
    found = list(rendered(folder))
    assert {"Namespace", "ServiceAccount", "Role", "ResourceQuota", "LimitRange", "NetworkPolicy"} <= {
        one["kind"] for one in found
    }
    for manifest in found:
        kubernetes_validate.validate(manifest, version, strict=True)
        assert manifest["kind"] in ("Namespace", "PriorityClass") or manifest["metadata"]["namespace"] == "winnow"


def test_airflow_lives_apart_and_may_start_jobs() -> None:
    """Who may create Jobs in a namespace can read its Secrets: the chart's lie in another one."""
    airflow, stages = list(rendered("airflow")), list(rendered("overlays/prod"))
    for manifest in airflow:
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)
    assert {one["metadata"]["name"] for one in stages if one["kind"] == "ServiceAccount"} == {"winnow-stage"}
    assert not [one for one in stages if one["kind"] == "RoleBinding"]
    by = {one["kind"]: one for one in airflow}
    home, account, binding = by["Namespace"]["metadata"], by["ServiceAccount"]["metadata"], by["RoleBinding"]
    assert home["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert account["namespace"] == home["name"] == by["NetworkPolicy"]["metadata"]["namespace"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": home["name"]}]
    (role,) = (one["metadata"] for one in stages if one["kind"] == "Role")
    assert (binding["roleRef"]["name"], binding["metadata"]["namespace"]) == (role["name"], role["namespace"])

    values = yaml.safe_load((ROOT / "k8s" / "airflow" / "values.yaml").read_text())
    for part in ("scheduler", "triggerer"):
        assert values[part]["serviceAccount"] == {"create": False, "name": account["name"]}
    assert {"name": "WINNOW_NAMESPACE", "value": role["namespace"]} in values["env"]
    assert f"apache-airflow/airflow -n {home['name']} " in (ROOT / "k8s" / "README.md").read_text()


def test_kueues_queues_join_an_overlay(tmp_path: Path) -> None:
    """Custom resources have no schema here; that they render, and what Jobs are labelled with, is checked."""
    found: dict[str, dict] = {}
    where = {key: os.path.relpath(ROOT / "k8s" / key, tmp_path) for key in ("overlays/prod", "components/kueue")}
    overlay = {"resources": [where["overlays/prod"]], "components": [where["components/kueue"]]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    for one in rendered(str(tmp_path)):
        found.setdefault(one["kind"], one)
    assert found["LocalQueue"]["metadata"] == {"name": "winnow", "namespace": "winnow"}
    assert found["LocalQueue"]["spec"]["clusterQueue"] == found["ClusterQueue"]["metadata"]["name"]
    flavors = found["ClusterQueue"]["spec"]["resourceGroups"][0]["flavors"]
    assert [one["name"] for one in flavors] == [found["ResourceFlavor"]["metadata"]["name"]]


@pytest.mark.parametrize("components", [[], ["components/lake-claim"]], ids=["bucket", "claim"])
def test_what_pods_read_from_volumes_is_mounted_in_production(tmp_path: Path, components: list[str]) -> None:
    """Every path of the overlay's ConfigMap lies on a claim of the overlay that Airflow's values have pods mount."""
    where = {key: os.path.relpath(ROOT / "k8s" / key, tmp_path) for key in ("overlays/prod", *components)}
    overlay = {"resources": [where["overlays/prod"]], "components": [where[key] for key in components]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    found = list(rendered(str(tmp_path)))
    claims = {one["metadata"]["name"] for one in found if one["kind"] == "PersistentVolumeClaim"}
    (told,) = (one["data"] for one in found if one["kind"] == "ConfigMap")
    paths = {key: told[key] for key in ("WINNOW_LAKE", "WINNOW_INBOX", "WINNOW_WEIGHTS") if "://" not in told[key]}
    assert len(paths) == 2 + len(components)
    for manifest in found:
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)

    values = yaml.safe_load((ROOT / "k8s" / "airflow" / "values.yaml").read_text())
    (volumes,) = (one["value"] for one in values["env"] if one["name"] == "WINNOW_VOLUMES")
    volumes = ",".join([volumes, *(["lake=lake:/lake"] if components else [])])
    spec = job(["ingest"], WINNOW_VOLUMES=volumes)["spec"]["template"]["spec"]
    mounted = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    claimed = {
        mounted[one["name"]]: one["persistentVolumeClaim"]["claimName"]
        for one in spec["volumes"]
        if "persistentVolumeClaim" in one
    }
    assert set(claimed.values()) == claims
    for key, path in paths.items():
        assert any(Path(path).is_relative_to(mount) for mount in claimed), f"{key}={path} is on no claim"


def test_a_stage_runs_in_the_image_and_size_that_it_names() -> None:
    for name in stage_names():
        made = job(["run", name, "--batch", "2026-11-01", "--part", "0"])
        stage, container = stage_class(name), made["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"winnow/{stage.image}:0123456789ab"
        assert container["resources"]["limits"]["memory"] == f"{stage.resources.memory_mb}Mi"
        assert made["metadata"]["labels"]["winnow/stage"] == name
        assert container["args"][:2] == ["run", name]


def test_names_are_deterministic_and_differ_by_attempt() -> None:
    arguments = ["run", "clip", "--batch", "2026-11-01", "--part", "3"]
    cluster = winnow_pod.Cluster.from_environment(CLUSTER)
    first, again = winnow_pod.job(arguments, ATTEMPT, cluster), winnow_pod.job(arguments, ATTEMPT, cluster)
    assert first == again
    assert first["metadata"]["name"].startswith("clip-2026-11-01-p3-")
    later = winnow_pod.Attempt(ATTEMPT.dag, ATTEMPT.run, ATTEMPT.task, ATTEMPT.map_index, 3)
    assert winnow_pod.job(arguments, later, cluster)["metadata"]["name"] != first["metadata"]["name"]
    other = winnow_pod.Attempt(ATTEMPT.dag, "another run", ATTEMPT.task, ATTEMPT.map_index, 2)
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
        ["git", "grep", "-l", "WINNOW_RUNTIME", "--", "*.py"], cwd=ROOT, capture_output=True, text=True
    )
    readers = [name for name in tracked.stdout.split() if not name.startswith("tests/")]
    assert readers == ["plugins/winnow_stage.py"]
    assert (ROOT / readers[0]).read_text().count('environ.get("WINNOW_RUNTIME"') == 1


def test_only_fetch_reaches_the_internet_and_never_a_private_address() -> None:
    policies = [one for one in rendered("base") if one["kind"] == "NetworkPolicy"]
    everybody = {one["metadata"]["name"]: one["spec"] for one in policies if one["spec"]["podSelector"] == {}}
    assert everybody["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside = {
        one["metadata"]["name"]: one["spec"]
        for one in policies
        if any("ipBlock" in peer for rule in one["spec"].get("egress", []) for peer in rule.get("to", [{"ipBlock": 0}]))
    }
    assert set(outside) == {"fetch-internet"}
    assert outside["fetch-internet"]["podSelector"] == {"matchLabels": {"winnow/stage": "fetch"}}
    blocks = [peer["ipBlock"] for rule in outside["fetch-internet"]["egress"] for peer in rule["to"]]

    def reachable(address: str) -> bool:
        at = ipaddress.ip_address(address)
        return any(
            at in ipaddress.ip_network(block["cidr"])
            and not any(at in ipaddress.ip_network(not_there) for not_there in block.get("except", []))
            for block in blocks
        )

    assert reachable("93.184.215.14")
    assert reachable("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    private = ["10.0.0.1", "172.16.3.4", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]
    assert not [at for at in (*private, "fd00::1", "fe80::1", "::1", "::ffff:10.0.0.1") if reachable(at)]
    # The second wall lets nothing through that the first one refuses, and no way to an IPv4 address in disguise.
    refused = [*egress.REFUSED_V4, *egress.REFUSED_V6, *(network for network, _ in egress.EMBEDDING)]
    assert not [str(network) for network in refused for at in (network[0], network[-1]) if reachable(str(at))]
    excepted = [ipaddress.ip_network(one) for block in blocks for one in block.get("except", [])]
    assert not [str(one) for one in excepted if one not in refused], "and refuses nothing else"


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
