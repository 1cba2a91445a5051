"""A cluster that KUBECONFIG names, made ready for Winnow as k8s/README.md says, and the demo run on it.

What differs from cluster to cluster comes from the environment:

    KUBECONFIG            an administrator's
    WINNOW_IMAGES, WINNOW_TAG   the images, which the nodes can pull or have
    WINNOW_DEMO_HOST      an address of this machine that pods reach (kind: the gateway of its network)
    WINNOW_TEST_SHARED    a folder of this machine that every node has under the same path, where a node is not this
                          machine (kind: `extraMounts` with hostPath and containerPath alike); what tests leave stays
    WINNOW_TEST_OUTAGE    a command that takes the API server away; WINNOW_TEST_RETURN brings it back
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import needs

ROOT = Path(__file__).resolve().parents[2]
#: The administrator's; tests set KUBECONFIG to Airflow's while a trigger runs.
ADMIN = os.environ.get("KUBECONFIG", "")
ABOUT = ("KUBECONFIG", "WINNOW_IMAGES", "WINNOW_TAG", "WINNOW_DEMO_HOST")
NAMESPACE = "winnow"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
ACCOUNT = "winnow-airflow"


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
    """Output of one kubectl command, as the administrator."""
    done = subprocess.run(
        ["kubectl", "--kubeconfig", ADMIN, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def get(*arguments: str) -> list[dict]:
    """Objects of Winnow's namespace."""
    return json.loads(kubectl("-n", NAMESPACE, "get", *arguments, "-o", "json"))["items"]


def shared_folder(scratch: Path) -> Path:
    """A new folder, in `scratch` by default, that nodes have under its own path and that pods may write to: they run as
    a user without rights, and a volume that is a folder does not follow fsGroup."""
    folder = Path(tempfile.mkdtemp(prefix="shared-", dir=os.environ.get("WINNOW_TEST_SHARED") or scratch))
    folder.chmod(0o777)
    return folder


def world_policy(host: str) -> dict:
    """Lets `fetch` reach the demo's world on this machine: a private address and any port, which the base refuses."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "fetch-world", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"winnow/stage": "fetch"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": f"{host}/32"}}]}],
        },
    }


def install(shared: Path) -> None:
    """The local overlay, with a volume for its claim that is `shared` on the node, and the way to the demo's world."""
    assert NAMESPACE not in kubectl("get", "namespaces", "-o", "name"), "the cluster holds a namespace `winnow` already"
    classes = json.loads(kubectl("get", "storageclasses", "-o", "json"))["items"]
    marked = [one for one in classes if one["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "winnow-lake"},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": marked[0]["metadata"]["name"] if marked else "",  # which the claim is given
            "hostPath": {"path": str(shared)},
            "claimRef": {"namespace": NAMESPACE, "name": "lake"},
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(volume))
    kubectl("apply", "-k", str(ROOT / "k8s" / "overlays" / "local"))
    kubectl("apply", "-f", "-", stdin=json.dumps(world_policy(os.environ["WINNOW_DEMO_HOST"])))
    wait(lambda: get("pvc")[0]["status"].get("phase") == "Bound", "the claim is bound", 60)


def ready() -> None:
    """A first pod runs: the image is there, the network too (some make this machine's address with the first pod)."""
    from tests.cluster import jobs

    first = jobs.make(["ingest"], jobs.runs("print('ready')"))
    kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(first))
    wait(lambda: any(job["status"].get("succeeded") for job in get("jobs")), "a first Job succeeds", 120)


def uninstall() -> None:
    """Remove all of it."""
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=100s", check=False)
    kubectl("delete", "pv", "winnow-lake", "--ignore-not-found", "--timeout=30s", check=False)
    kubectl("delete", "priorityclass", "winnow-batch", "winnow-gpu", "--ignore-not-found", check=False)


def account_kubeconfig(path: Path) -> Path:
    """A kubeconfig with the rights of Airflow's service account and no others."""
    admin = json.loads(kubectl("config", "view", "--minify", "--raw", "-o", "json"))
    cluster = admin["clusters"][0]["cluster"]
    found = json.loads(kubectl("-n", NAMESPACE, "get", "serviceaccount", ACCOUNT, "-o", "json")).get("secrets")
    if found:  # before 1.24 an account had a token of its own
        token = kubectl(
            "-n", NAMESPACE, "get", "secret", found[0]["name"], "-o", "go-template={{.data.token|base64decode}}"
        )
    else:
        token = kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=4h").strip()
    view = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": ACCOUNT, "namespace": NAMESPACE}}],
        "current-context": "it",
    }
    path.write_text(json.dumps(view))
    path.chmod(0o600)
    return path


def here() -> dict[str, str]:
    """An environment in which the demo runs on this machine, and knows of no cluster."""
    return {name: value for name, value in os.environ.items() if name not in ABOUT}


def there(shared: Path, kubeconfig: Path) -> dict[str, str]:
    """What makes Airflow start Jobs on the cluster: the runtime, and where it is."""
    return {
        "WINNOW_RUNTIME": "kubernetes",
        "WINNOW_NAMESPACE": NAMESPACE,
        "WINNOW_VOLUMES": f"lake=lake:{shared}",
        "KUBECONFIG": str(kubeconfig),
    }


class Demo:
    """`winnow demo run` in the background; `log` is what it said, beside its folder."""

    def __init__(self, folder: Path, environment: dict[str, str], *options: str) -> None:
        self.folder, self.log = folder, folder.with_name(f"{folder.name}.log")
        command = [sys.executable, "-m", "winnow.cli", "demo", "run", "--dir", str(folder), *options]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, seconds: float) -> None:
        """Until it has ended, and well."""
        code = self._process.wait(seconds)
        assert code == 0, self.log.read_text()[-6000:]

    def stop(self) -> None:
        """End it, if it has not ended."""
        self._process.terminate()
        self._process.wait(60)


def published(folder: Path) -> dict[str, str]:
    """SHA-256 of each published table of a demo's current release."""
    from winnow.core.lake import sha256_file

    releases = folder / "lake" / "releases"
    current = (releases / "current").read_text().strip()
    return {path.name: sha256_file(path) for path in sorted((releases / current / "tables").glob("*.parquet"))}


def wait(condition, what: str, seconds: float) -> None:
    """Until a condition holds; an assertion names what never came."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.3)


def missing() -> str:
    """What of the environment or the tools there is none of; '' where there is a cluster to ask."""
    names = [name for name in ABOUT if name not in os.environ]
    unset = f"{', '.join(names)} not set (tests/cluster/helpers.py)" if names else ""
    return "; ".join(filter(None, (needs.no_kubectl(), unset)))
