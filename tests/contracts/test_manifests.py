"""What lies in k8s/ as kustomize renders it: valid for Kubernetes 1.32 and newer, and as narrow as it says."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests import needs
from tests.cluster import helpers
from tests.contracts.test_kubernetes import ROOT, VERSIONS, job
from winnow.fetching import egress


def rendered(folder: str) -> Iterator[dict]:
    needs.kubectl()
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s" / folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    yield from yaml.safe_load_all(done.stdout)


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


def test_the_tests_on_a_cluster_let_fetch_reach_their_world() -> None:
    policy = helpers.world_policy("172.18.0.1")
    kubernetes_validate.validate(policy, VERSIONS[0], strict=True)
    labels = job(["run", "fetch", "--batch", "a", "--part", "0"])["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("nodes", ["this machine", "elsewhere"])
def test_the_tests_on_a_cluster_share_a_folder_that_nodes_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: str
) -> None:
    monkeypatch.delenv("WINNOW_TEST_SHARED", raising=False)
    scratch = tmp_path / "run" / "scratch"
    scratch.mkdir(parents=True)
    if nodes == "elsewhere":
        (tmp_path / "mounted").mkdir()
        monkeypatch.setenv("WINNOW_TEST_SHARED", str(tmp_path / "mounted"))
    folder = helpers.shared_folder(scratch)
    assert folder.parent == (scratch if nodes == "this machine" else tmp_path / "mounted")
    assert folder.stat().st_mode & 0o777 == 0o777
