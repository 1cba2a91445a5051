"""cluster: which k-means cluster a clip falls into, in every feature layer of what is seen and of what is heard.

The centres are fitted on the corpus (`winnow cluster`) and frozen by their digest; later batches are assigned to the
same centres until someone refits. A row names its digest: ids of two clusterings have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.frozen_model import FrozenModel
from winnow.core.sample import Outcome, Reason
from winnow.core.stage import Batch, Resources, Sample, Stage

if TYPE_CHECKING:
    import numpy as np

    from winnow.core.manifest import Manifest


class Cluster(Stage):
    """One row per clip with picture and sound: the nearest centre in each layer, from 0, in the order of the model's
    card; model: the centres' digest."""

    name = "cluster"
    image = "corpus"
    needs = ("clip", "visual", "audio")
    optional_needs = ("open_clip", "panns", "efficientnet", "yamnet")
    schema = {"video_id": "string", "visual_clusters": "int32[]", "audio_clusters": "int32[]", "model": "string"}
    resources = Resources(cpu=1, memory_mb=2048)
    fitted = "cluster"
    fitted_by = "winnow cluster"
    flow = "select"

    def setup(self) -> None:
        """Load the centres; ConfigError when none were fitted."""
        from winnow.selection.kmeans.centroids import Centroids

        self.digest, data = self.fitted_model()
        self.card = FrozenModel(self.fitted).card(self.lake, self.digest)
        self.centroids = Centroids.loads(data)

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """An outcome for each clip. A clip is assigned by itself: its shard's other clips change nothing. ContractError
        for features of another version than the centres'."""
        import numpy as np

        self.check(batch.inputs)
        whole: list[tuple[Sample, list[np.ndarray]]] = []
        for sample in batch:
            found = self.vectors(sample)
            if isinstance(found, str):
                yield Outcome.failed(sample.id, Reason.no_input, found)
            else:
                whole.append((sample, found))
        if not whole:
            return
        layers = list(self.centroids.layers)
        labels = self.centroids.assign({n: np.stack([v[i] for _, v in whole]) for i, n in enumerate(layers)})
        sides = {side: np.stack([labels[n] for n in self.card["layers"][side]], axis=1) for side in ("visual", "audio")}
        for row, (sample, _) in enumerate(whole):
            values = {f"{side}_clusters": array[row] for side, array in sides.items()}
            yield Outcome.ok(sample.id, {"video_id": sample.row["video_id"], **values, "model": self.digest})

    def check(self, inputs: Mapping[str, Manifest]) -> None:
        """ContractError unless the tables are of the versions that the centres were fitted on."""
        for stage, v in self.card["features"].items():
            found = inputs.get(stage)
            if found is not None and found.fingerprint != v:
                raise ContractError(
                    f"{stage} of batch {found.batch} is v={found.fingerprint}, the centres {self.digest} were fitted "
                    f"on v={v}, and their vectors cannot be compared: run `winnow run {stage} --batch {found.batch}` "
                    "with the parameters of then, or measure all batches alike and fit anew (`winnow cluster`)"
                )

    def vectors(self, sample: Sample) -> list[np.ndarray] | str:
        """A clip's vector of each layer, float32 (d,), or what is wrong with its inputs."""
        import numpy as np

        out = []
        for name, clustering in self.centroids.layers.items():
            stage, _, column = name.partition(".")
            row = sample.needs.get(stage)
            if row is None or row.get(column) is None:
                return f"{stage}: no row"
            vector = np.asarray(row[column], np.float32)
            if vector.shape != clustering.centres.shape[1:]:
                return f"{name}: {len(vector)} values, the centres have {clustering.centres.shape[1]}"
            if not np.isfinite(vector).all():
                return f"{name}: a value is not finite"
            out.append(vector)
        return out
