"""The model that benchmarks are run on: loaded here or on workers of a cluster, probed, and what is recorded of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.models import ClusterModel, computes_here
from harness.models.spec import load_model, parse_spec
from harness.protocols.model import Model
from harness.protocols.progress import Progress
from harness.store import EvaluationSubject, Store
from harness.util.distributed import rank_and_world_size
from harness.util.log import LOG
from workflows.embedded import synthetic
from workflows.eval_models import EvalModel
from workflows.lineage import lookup_run
from workflows.probing import Probed


@contextlib.contextmanager
def loaded_model(
    store: Store,
    eval_model: EvalModel,
    device: str,
    loading: Mapping[str, Any] | None,
    probe: bool,
    cluster: Cluster | None,
    progress: Progress,
) -> Iterator[Model]:
    """The model, here or on the workers of ``cluster``, and with ``probe`` probed before its first answer."""
    with contextlib.ExitStack() as ends:
        model = _here_or_there(store, eval_model.spec, device, loading, cluster, progress)
        if isinstance(model, ClusterModel):
            ends.callback(model.close)
        if rank_and_world_size()[0] == 0:
            store.save_model(eval_model.spec, loading or {}, model.key)
        if probe:
            trained = store.alignment(eval_model.alignment).info.get("probe", {}) if eval_model.alignment else {}
            model = Probed(model, store, trained, loading or {}, progress)
        yield model


def _here_or_there(
    store: Store,
    spec: str,
    device: str,
    loading: Mapping[str, Any] | None,
    cluster: Cluster | None,
    progress: Progress,
) -> Model:
    runs, parsed = lookup_run(store), parse_spec(spec)
    if cluster is not None and not computes_here(spec):
        LOG.info("%s is not computed where it is loaded: it is asked by this process, not by workers", spec)
    if cluster is None or not computes_here(spec):
        return load_model(spec, device=device, settings=loading, runs=runs, progress=progress)
    files = runs(parsed.target) if parsed.kind == "run" else None
    return ClusterModel.load(cluster, spec, loading or {}, files, progress)


def subject_of(
    eval_model: EvalModel,
    model: Model,
    settings: Mapping[str, Any],
    folder: Path,
    loading: Mapping[str, Any] | None = None,
) -> EvaluationSubject:
    """What the evaluation of a loaded model is an evaluation of."""
    return EvaluationSubject(
        run=eval_model.run,
        model=model.spec,
        model_key=model.key,
        alignment=eval_model.alignment,
        settings=dict(settings),
        data_dir=str(folder.resolve()),
        info={
            "route": model.route,
            "loading": dict(loading or {}),
            **({"asked": dict(model.asked_with)} if model.asked_with else {}),
            **_probe_info(model),
            **({"named": True} if eval_model.named else {}),
            **synthetic(folder),
        },
    )


def _probe_info(model: Model) -> dict[str, Any]:
    return {"probe": model.record} if isinstance(model, Probed) and model.record else {}
