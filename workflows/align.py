"""`align`: settings in, a trained model and its record out."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster.connection import Cluster
from harness.errors import HarnessError, Interrupted, UsageError
from harness.models.settings import LoadSettings
from harness.models.spec import RunLookup, model_id
from harness.protocols.progress import Progress, silent
from harness.protocols.recorder import Recorder
from harness.store import AlignmentRecord, Store
from harness.store.claims import ALIGNMENT, LEASE, Claims
from harness.util.caches import remove_unfinished
from harness.util.distributed import rank_and_world_size
from harness.util.names import require_name, require_text
from harness.util.options import build, overlay, read_yaml, unstorable
from harness.util.paths import home
from recipes import RECIPES
from workflows.align_spec import AlignSpec
from workflows.cluster_training import train_on
from workflows.embedded import build_embedded, embedded_world, is_embedded_model, mark_card, unbuilt
from workflows.interruption import folder_of, kept_of, starts_over
from workflows.lineage import lineage, started_from
from workflows.probing import was_probed
from workflows.settings import Kinds, align_setting, route
from workflows.stored_runs import changed_data, finished
from workflows.training import heldout_of, train


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of the run itself.

    Args:
        method: the aligner, as of `--method`.
        name: as of `--name`; None: METHOD-sSEED.
        label: the name of its row in tables; None: the method.
        panel: the block of the tables that it stands in.
        heldout: preference pairs that are only measured: their reward gaps, while the model is trained on others.
    """

    method: str = "dama"
    name: str | None = None
    label: str | None = None
    panel: str = ""
    heldout: str | None = None


OF_THE_RUN = tuple(field.name for field in dataclasses.fields(RunSettings))
OPTIONS = ("model", "data", "seed", "limit", "device")
"""Options of `align`: settings of the training, whatever an objective calls its own."""
OTHERS, TAKEN = {"model": LoadSettings}, {"run": RunSettings}
"""What `align --set` sets beside the dataclasses of ``kinds_of``: see workflows.settings.route."""
INPUTS = ("train.model", "train.data")


def kinds_of(method: str) -> dict[str, type[Any]]:
    """The dataclasses whose settings an alignment takes, by the name of the part: "train", "objective", "hardness"."""
    from aligners.objective import ALIGNERS
    from aligners.pair_hardness.hardness import HardnessConfig
    from aligners.training.config import AlignConfig

    return {"train": AlignConfig, "objective": ALIGNERS.get(method), "hardness": HardnessConfig}


def resolve_alignment(
    settings: Mapping[str, Any], progress: Progress, runs: RunLookup | None = None, *, built: bool = True
) -> AlignSpec:
    """The alignment that one dictionary of settings describes (see workflows.settings.route).

    Without ``model`` and ``data`` the embedded world is built (or found) and its recipe is the default; with ``built``
    false it is only said where it will lie. ``runs`` finds the files of a model ``run:NAME``.
    An unknown method or setting raises a UsageError with the nearest known name.
    """
    from aligners.pair_hardness.clip_files import absolute

    given = {name: settings[name] for name in OF_THE_RUN if settings.get(name) is not None}
    run = build(RunSettings, {**given, "heldout": None}, "align")
    _check_names(run)
    method = run.method
    kinds = kinds_of(method)
    values = {align_setting(k, OPTIONS): v for k, v in settings.items() if k not in OF_THE_RUN}
    files: dict[str, Any] = {name: input_of(name, values[name]) for name in INPUTS if name in values}
    if len(files) == 1:
        raise UsageError("Give both --model and --data, or neither (the embedded world).")
    heldout = input_of("heldout", settings["heldout"]) if settings.get("heldout") else None
    parent = None
    if files:
        start, parent = started_from(files["train.model"], runs)
        files["train.model"] = model_id(str(start))
        dealt = route({**values, **files}, kinds, f"align --method {method}", others=OTHERS, taken=TAKEN)
    else:
        dealt, of_world = embedded(values, kinds, f"align --method {method}", progress, built=built)
        heldout = heldout or of_world
    if "clip" in dealt["hardness"]:
        dealt["hardness"]["clip"] = absolute(str(dealt["hardness"]["clip"]))
    train = build(kinds["train"], {**dealt["train"], "method": method}, "align")
    return AlignSpec(
        name=run.name or f"{method}-s{train.seed}",
        method=method,
        label=run.label or method,
        panel=run.panel,
        train=train,
        objective=build(kinds["objective"], dealt["objective"], f"aligner {method}"),
        hardness=build(kinds["hardness"], dealt["hardness"], "hardness"),
        heldout=heldout,
        parent=parent,
    )


def _check_names(run: RunSettings) -> None:
    """Raise UsageError where a run, its row or its panel cannot be called as ``run`` says."""
    if run.name is not None:
        require_name("--name", run.name)
    require_text("label", run.label or "")
    require_text("panel", run.panel)


def input_of(name: str, value: Any) -> str:
    """A model or data as it is recorded: paths are absolute, several sources of data have commas between."""
    from aligners.pairs.sources import sources_of

    several = value if isinstance(value, list | tuple) and name != "train.model" else [value]
    for each in several:
        if not isinstance(each, str | Path) or not str(each).strip() or unstorable(str(each)):
            shown = f"{name.removeprefix('train.')}={each!r:.80}"
            raise UsageError(f"align: {shown}: expected a file, a directory or a hub id.")
    if name == "train.model":
        return model_id(str(value))
    given = value if isinstance(value, list | tuple) else sources_of(value)
    return ",".join(model_id(str(source)) for source in given)


def dry_run(spec: AlignSpec, progress: Progress = silent) -> dict[str, Any]:
    """What ``spec`` will do and cost; reads configuration, processor and pairs where they can be had, no weights.

    Where the embedded world is not built yet it says so instead of the cost. Raises DataError for held-out pairs that
    the run could not read.
    """
    from aligners.training.cost import estimate

    if missing := unbuilt(spec.train.model, spec.train.data):
        notes = f"the embedded world is built first, which takes minutes: {', '.join(missing)}; costs are known then"
        return {"name": spec.name, **spec.record, "estimate": {"notes": notes}}
    heldout = heldout_of(spec, progress)
    cost = estimate(spec.train, spec.objective, progress, heldout=heldout is not None)
    return {"name": spec.name, **spec.record, "estimate": cost}


def embedded(
    values: Mapping[str, Any], kinds: Kinds, what: str, progress: Progress, *, built: bool
) -> tuple[dict[str, dict[str, Any]], str]:
    """``values`` dealt out, over the embedded world's recipe, model, pairs and CLIP; and its held-out pairs."""
    from tinyworld.build import WorldConfig

    dealt = route(values, {**kinds, "world": WorldConfig}, what, others=OTHERS, taken=TAKEN)
    world = build_embedded(dealt["world"], progress) if built else embedded_world(dealt["world"])
    files = {"model": str(world.model_dir), "data": str(world.pairs)}
    defaults = route(read_yaml(RECIPES / "tinyworld.yaml"), kinds, what)
    defaults = overlay(defaults, {"train": files, "hardness": {"clip": f"local-dir:{world.clip_dir}"}})
    return overlay(defaults, dealt), str(world.heldout_pairs)


def data_lines(info: Mapping[str, Any]) -> list[str]:
    """What a run's record says of its pairs: how many, of which split, what was dropped and why."""
    from aligners.pairs.report import described

    return described(info["data"]) if "pairs" in info.get("data", {}) else []


def done_before(store: Store, spec: AlignSpec, progress: Progress = silent) -> AlignmentRecord | None:
    """The run of these settings and data that is done; None if there is none.

    Its checkpoints are removed, if it was killed just before it would have done so itself.
    """
    from aligners.training.checkpoints import remove_checkpoints

    done = finished(store, spec, progress)
    if done is not None and rank_and_world_size()[0] == 0:
        remove_checkpoints(folder_of(spec.name, spec.key))
    return done


def align(
    store: Store,
    spec: AlignSpec,
    *,
    fresh: bool = False,
    probe: bool = True,
    cluster: Cluster | None = None,
    progress: Progress,
) -> AlignmentRecord:
    """Train as ``spec`` says, or return the record of a run that finished with the same settings and data.

    An interrupted run resumes from its last checkpoint unless ``fresh``; one of the same settings on pairs that have
    changed since is made anew, with a warning (``with_unique_name`` gives it another name first). With ``probe`` the
    model is probed before it is trained, unless the run that is resumed was under the same software. On a ``cluster``
    its workers train, and write checkpoints and the model into $DAMA_HOME, which they share with this process.
    """
    from aligners.training.checkpoints import remove_checkpoints

    first = rank_and_world_size()[0] == 0
    out = folder_of(spec.name, spec.key)
    done = None if fresh else done_before(store, spec, progress)
    if done is not None:
        return done
    if not fresh and (changed := changed_data(store, spec, progress)):
        warnings.warn(f"{spec.name} is made anew: {changed}.", stacklevel=2)
        fresh = True
    if first:
        remove_unfinished(home() / "cache")
    if first and not fresh and (lost := starts_over(store, spec.name, spec.key)):
        warnings.warn(lost, stacklevel=2)

    def stage(step: str, done: int, total: int, note: str = "") -> None:
        progress(f"{spec.name}: {step}", done, total, note)

    heldout = heldout_of(spec, stage)
    started = time.monotonic()
    with under_way(store, spec, out, fresh=fresh) as log:
        probe = probe and not was_probed(store.alignment(spec.name))
        if cluster is None:
            model = train(spec, log, out, heldout=heldout, resume=not fresh, probe=probe, progress=stage)
        else:
            model = train_on(cluster, spec, log, out, resume=not fresh, probe=probe, progress=stage)
        seconds = time.monotonic() - started
        if is_embedded_model(spec.train.model) and first:
            mark_card(model)
        store.finish_alignment(spec.name, status="done", model_dir=str(model), seconds=seconds)
    if first:  # not before: a run that is killed up to here resumes from the last one
        remove_checkpoints(out)
    return store.alignment(spec.name)


@contextlib.contextmanager
def under_way(store: Store, spec: AlignSpec, folder: Path, *, fresh: bool) -> Iterator[Recorder]:
    """The record of an alignment while it is trained in ``folder``; closed as failed or interrupted where it ends so.

    The first of torchrun's processes holds the run's name: a second alignment of that name is a UsageError, and a run
    that nobody holds is no longer running.
    """
    first = rank_and_world_size()[0] == 0
    started = time.monotonic()
    with Claims(store.path) if first else contextlib.nullcontext() as claims:
        if claims and not claims.take(ALIGNMENT, [spec.name], 1):
            holder = store.aligning().get(spec.name, "another process")
            raise UsageError(
                f"{spec.name} is being aligned by {holder}. Wait for it or stop it (a lost one counts as gone after "
                f"{LEASE:.0f} seconds), or give this run another --name."
            )
        log = store.start_alignment(
            spec.name, method=spec.label, seed=spec.train.seed, panel=spec.panel, key=spec.key, config=spec.record,
            fresh=fresh and first,
        )  # fmt: skip
        log.log_info({"lineage": lineage(spec.train.model, spec.parent)})
        try:
            yield log
        except HarnessError:
            store.finish_alignment(spec.name, status="failed", model_dir="", seconds=time.monotonic() - started)
            raise
        except KeyboardInterrupt as stop:
            if first:
                seconds = time.monotonic() - started
                store.finish_alignment(spec.name, status="interrupted", model_dir="", seconds=seconds)
            raise Interrupted.of(stop, kept_of(store, store.alignment(spec.name))) from stop
