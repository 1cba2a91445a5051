"""The Job that one task starts on Kubernetes: its name, labels, image, pod and policy, as plain dicts.

Nothing here imports a Kubernetes client: a DAG file that uses it parses as fast as one that does not, and the worker
that builds a Job hands it to the trigger (winnow_job.py), which is the only one to talk to the cluster.

What a pod needs follows from the command. A stage says its image and resources itself (`Stage.image`,
`Stage.resources`); the other commands are listed in COMMANDS. The pod comes from k8s/pods/<class>.yaml, the class from
the number of GPUs.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

#: Every Job and pod of Winnow's carries it; the trigger watches by it.
MANAGED = {"app.kubernetes.io/name": "winnow", "app.kubernetes.io/managed-by": "winnow-airflow"}
#: A Job's annotation: the attempt whose it is. Names repeat, when a run is deleted and made again.
INSTANCE = "winnow/instance"
#: A Job's label that Kueue reads.
QUEUE = "kueue.x-k8s.io/queue-name"
#: Codes of sysexits.h that a program chooses on purpose and a retry repeats (winnow/core/errors.py): fail at once. The
#: one left out, 75, EX_TEMPFAIL, asks for a retry.
PERMANENT_EXIT_CODES = [*range(64, 75), *range(76, 79)]
#: Settings of a pod that Airflow's environment may give, beside those of fetch (winnow/core/settings.py).
PASSED = (
    "WINNOW_LAKE",
    "WINNOW_INBOX",
    "WINNOW_THREADS",
    "WINNOW_WEIGHTS",
    "WINNOW_DEVICE",
    "WINNOW_MODEL_BATCH",
    "WINNOW_STALL_S",
    "WINNOW_MEMORY_MB",
    "WINNOW_BENCHMARK_TASKS",
    "WINNOW_KEEP_RELEASES",
    "WINNOW_KEEP_DAYS",
    "WINNOW_SCRATCH_MB",
)
#: Longer than any shard; of a process as of a Job.
DEADLINE_S = 6 * 3600
#: How long a Job may wait in its Kueue queue, s: queues are for waiting, and an attempt that gives up loses its place.
QUEUE_S = 24 * 3600
#: Above all that a Job may take, s: an API server that is away for so long changes nothing.
SPARE_S = 3600
#: Finished Jobs stay a day, for `kubectl get jobs` and `kubectl logs`; the logs are in Airflow by then.
TTL_S = 24 * 3600


@dataclass(frozen=True)
class Needs:
    """What a command's pod needs: the image (a folder of images/), CPU cores, memory in MiB, GPUs."""

    image: str
    cpu: float = 1.0
    memory_mb: int = 1024
    gpu: int = 0


#: Commands that are no stage. dbt and Great Expectations take half a GiB before they read a row.
COMMANDS = {
    "ingest": Needs("base"),
    "plan": Needs("base"),
    "decide": Needs("warehouse", memory_mb=2048),
    "gate": Needs("warehouse", memory_mb=2048),
    "release": Needs("warehouse", cpu=2, memory_mb=4096),
    "fit": Needs("corpus", memory_mb=2048),
    "calibrate": Needs("corpus", memory_mb=2048),
    "mix": Needs("warehouse"),
    "cluster": Needs("corpus", cpu=2, memory_mb=4096),
    "select": Needs("corpus", cpu=2, memory_mb=4096),
    "benchmark": Needs("model", memory_mb=4096),
}


@dataclass(frozen=True)
class Cluster:
    """Where Jobs go, from the environment of Airflow's components.

    WINNOW_NAMESPACE; WINNOW_IMAGES: registry and repository of the images, and WINNOW_TAG: their tag (a commit);
    WINNOW_PODS: folder of the pod templates; WINNOW_QUEUE: name of a Kueue LocalQueue, if Kueue is installed;
    WINNOW_PENDING_S: how long a pod may wait for quota, a node or its volumes; WINNOW_KUBERNETES_CONN: an Airflow
    connection (without it the kubeconfig, where there is none the pod's own account); WINNOW_VOLUMES:
    `name=claim:/path`, comma-separated.
    """

    namespace: str
    images: str
    tag: str
    pods: Path
    queue: str | None
    pending_s: float
    connection: str | None
    volumes: tuple[tuple[str, str, str], ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Cluster:
        """The deployment; ValueError that names what is missing or wrong."""
        tag = environment.get("WINNOW_TAG", "")
        if not tag or tag == "latest":
            raise ValueError("WINNOW_TAG must name the images' commit (`make images` prints it), never latest")
        volumes = []
        for part in filter(None, environment.get("WINNOW_VOLUMES", "").split(",")):
            found = re.fullmatch(r"([a-z0-9-]+)=([a-z0-9.-]+):(/[\w./-]*)", part.strip())
            if not found:
                raise ValueError(f"WINNOW_VOLUMES: {part!r} is not name=claim:/path")
            volumes.append((found[1], found[2], found[3]))
        beside = Path(__file__).resolve().parents[1] / "k8s" / "pods"
        return cls(
            namespace=environment.get("WINNOW_NAMESPACE", "winnow"),
            images=environment.get("WINNOW_IMAGES", "winnow"),
            tag=tag,
            pods=Path(environment.get("WINNOW_PODS", beside)),
            queue=environment.get("WINNOW_QUEUE") or None,
            pending_s=float(environment.get("WINNOW_PENDING_S", "3600")),
            connection=environment.get("WINNOW_KUBERNETES_CONN") or None,
            volumes=tuple(volumes),
        )

    @property
    def timeout_s(self) -> float:
        """How long a task may wait for its Job: longer than the Job may live. Airflow's own timeout says nothing of
        what happened, and leaves the Job behind."""
        return (QUEUE_S if self.queue else 0) + self.pending_s + DEADLINE_S + SPARE_S


def deployment(environment: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """Settings of Winnow's that Airflow itself was given, for the pod; what it was not given, the ConfigMap `winnow`
    says (k8s/overlays)."""
    chosen = {key: value for key, value in environment.items() if key.startswith("WINNOW_FETCH_") or key in PASSED}
    return [{"name": key, "value": value} for key, value in sorted(chosen.items())]


@dataclass(frozen=True)
class Attempt:
    """One attempt at one task: what makes a Job's name, so that whoever asks again finds the same Job.

    instance: Airflow's id of the attempt (a UUID). A deferred task keeps it, whoever runs its trigger; a retry, a
    cleared task and a run that is made anew under the same name get another.
    """

    dag: str
    run: str
    task: str
    map_index: int
    number: int
    instance: str

    @property
    def key(self) -> str:
        """Digest of the task of this run, the same for all its attempts."""
        parts = (self.dag, self.run, self.task, self.map_index)
        return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


def needs(arguments: Sequence[str]) -> Needs:
    """What the pod of `winnow <arguments>` needs."""
    if arguments[0] == "run":
        from winnow.core.stage import stage_class

        image, at = stage_class(arguments[1]).pod(json.loads(_option(arguments, "--params") or "{}"))
        return Needs(image, at.cpu, at.memory_mb, at.gpu)
    if arguments[0] == "fit" and _option(arguments, "--scorer") == "two_tower":
        return Needs("model", memory_mb=4096)  # trained with torch, on one core
    if list(arguments[:2]) == ["benchmark", "train"] and _option(arguments, "--preset") not in (None, "demo"):
        return Needs("model", cpu=2, memory_mb=8192, gpu=1)  # published sizes and schedules
    return COMMANDS[arguments[0]]


def job(arguments: Sequence[str], attempt: Attempt, cluster: Cluster) -> dict[str, Any]:
    """The Job of one attempt at `winnow <arguments>`."""
    wanted = needs(arguments)
    subject = arguments[1] if arguments[0] in ("run", "release", "benchmark") and len(arguments) > 1 else arguments[0]
    batch, part = _option(arguments, "--batch"), _option(arguments, "--part")
    name = "-".join(filter(None, [subject, batch, f"p{part}" if part else None]))
    labels = {
        **MANAGED,
        "winnow/dag": attempt.dag,
        "winnow/stage": subject,
        "winnow/task": attempt.key,
        "winnow/attempt": str(attempt.number),
    }
    if batch:
        labels["winnow/batch"] = batch
    if part:
        labels["winnow/part"] = part
    labels = {key: _label(value) for key, value in labels.items()}
    pod = pod_template(wanted, cluster)
    container = pod["spec"]["containers"][0]
    container["args"] = list(arguments)
    container["env"] += deployment()
    queue = {QUEUE: cluster.queue} if cluster.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{_name(name)[:45].rstrip('-.')}-{attempt.key[:8]}-{attempt.number}",
            "namespace": cluster.namespace,
            "labels": {**labels, **queue},
            "annotations": {
                "winnow/run": attempt.run,
                INSTANCE: attempt.instance,
                "winnow/command": " ".join(["winnow", *arguments])[:1000],
            },
        },
        "spec": {
            "backoffLimit": 0,  # Airflow alone retries
            "activeDeadlineSeconds": DEADLINE_S,
            "ttlSecondsAfterFinished": TTL_S,
            "podFailurePolicy": {
                "rules": [
                    # A drained or preempted node is nobody's fault: the Job makes another pod, no attempt is spent.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "winnow",
                            "operator": "In",
                            "values": PERMANENT_EXIT_CODES,
                        },
                    },
                ]
            },
            **({"suspend": True} if cluster.queue else {}),  # Kueue starts it when there is quota
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def pod_template(wanted: Needs, cluster: Cluster) -> dict[str, Any]:
    """The pod of a resource class with image, resources and volumes filled in."""
    size = "cpu" if not wanted.gpu else "gpu" if wanted.gpu == 1 else "gpu-large"
    pod = copy.deepcopy(_class(cluster.pods / f"{size}.yaml"))
    container = pod["spec"]["containers"][0]
    container["image"] = f"{cluster.images}/{wanted.image}:{cluster.tag}"
    memory = f"{wanted.memory_mb}Mi"
    gpu = {"nvidia.com/gpu": str(wanted.gpu)} if wanted.gpu else {}
    # Memory is no guess of the scheduler's: what is asked for is what there is. CPU may be borrowed when it is idle.
    container["resources"] = {
        "requests": {"cpu": f"{round(wanted.cpu * 500)}m", "memory": memory, **gpu},
        "limits": {"cpu": f"{round(wanted.cpu * 2000)}m", "memory": memory, **gpu},
    }
    for name, claim, path in cluster.volumes:
        container["volumeMounts"].append({"name": name, "mountPath": path})
        pod["spec"]["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": claim}})
    return pod


@lru_cache(maxsize=8)
def _class(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _option(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option of a command line, if it is there and one value."""
    if name not in arguments:
        return None
    return arguments[list(arguments).index(name) + 1]


def _name(text: str) -> str:
    """A text as part of a Kubernetes name."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")


def _label(value: str) -> str:
    """A text as a label's value: at most 63 characters, beginning and ending with a letter or digit."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", value)[:63].strip("_.-") or "none"
