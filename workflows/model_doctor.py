"""`doctor --model`: whether a model is asked what it is trained on, on this machine and at an endpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.models.probe import ENDPOINT, place
from harness.models.spec import load_model, model_settings, parse_spec
from harness.protocols.probe import Check, Encode, Probe
from harness.protocols.progress import Progress
from harness.store import Store
from harness.util.options import nested
from workflows.lineage import lookup_run
from workflows.probing import encode, parting


@dataclass(frozen=True)
class ProbedModel:
    """What `doctor` found of a model: the probe's own question, and the first pair of the data; None: not looked at.

    ``said`` says why there is nothing to probe.
    """

    name: str
    question: Probe | None
    pair: Probe | None = None
    said: str = ""

    @property
    def bad(self) -> bool:
        """Whether something is wrong; so it is where an endpoint did not answer, and nothing was found at all."""
        return any(probe.state == "bad" or not probe.complete for probe in (self.question, self.pair) if probe)

    @property
    def tables(self) -> list[tuple[str, dict[str, str], list[tuple[str, str, str]]]]:
        """What is shown of each conversation: its title, what was seen, and (name, state, detail) of the checks."""
        asked = (("", self.question), ("first pair of the data", self.pair))
        return [
            (title, _facts(probe), [(check.name, check.state, check.detail) for check in probe.checks])
            for title, probe in asked
            if probe
        ]

    @property
    def record(self) -> dict[str, Any]:
        """As `doctor --json` prints it."""
        found = {"question": self.question, "pair": self.pair}
        records = {name: probe.record for name, probe in found.items() if probe}
        state = "bad" if self.bad else "ok" if records else "none"
        return {"name": self.name, "state": state, "detail": self.said, **records}


def probe_models(
    specs: Sequence[str],
    *,
    pairs: str | None,
    device: str,
    settings: Mapping[str, Any],
    db: str | Path,
    progress: Progress,
) -> list[ProbedModel]:
    """`doctor --model`: each model loaded and probed; what keeps one from that is a fault of its own.

    ``pairs`` are preference data, whose first pair is looked at too. ``settings`` as of `--set`: model.KEY. A name or a
    setting that is wrong raises UsageError, before any model is loaded.
    """
    loading = _loading(settings)
    for spec in specs:
        model_settings(parse_spec(spec), loading)
    first = _first_pair(pairs, progress) if pairs else None
    return [_probed_model(spec, first, device, loading, db, progress) for spec in specs]


def _facts(probe: Probe) -> dict[str, str]:
    """What a probe saw, as people read it."""
    facts = {
        "prompt": repr(probe.prompt) if probe.prompt else "",
        "tokens": ", ".join(
            f"{count} {place(ENDPOINT if way == 'server' else way)}" for way, count in probe.tokens.items()
        ),
        "image tokens": "" if probe.image_tokens is None else str(probe.image_tokens),
        "end": repr(probe.end) if probe.end else "",
        "took": f"{probe.seconds:.2f} s" if probe.seconds else "",
    }
    return {name: text for name, text in facts.items() if text}


def _probed_model(
    spec: str, pair: Any, device: str, loading: Mapping[str, Any], db: str | Path, progress: Progress
) -> ProbedModel:
    run = spec.removeprefix("run:") if spec.startswith("run:") else None
    try:
        store = Store.reading(db) if run else None
        runs = lookup_run(store) if store else None
        model = load_model(spec, device=device, settings=loading, runs=runs, progress=progress)
        found = model.probe(encode)
    except HarnessError as error:
        return ProbedModel(spec, Probe(checks=(Check("loading", "bad", str(error)),)))
    if found is None:
        return ProbedModel(spec, None, said="its answers are not made here: there is nothing to probe")
    if store and run and (parts := parting(store.alignment(run).info.get("probe", {}), found.record)):
        found = dataclasses.replace(found, checks=(*found.checks, Check("trained", "bad", parts)))
    return ProbedModel(spec, found, model.probe(_encode_as(pair), pair.prompt) if pair else None)


def _encode_as(pair: Any) -> Encode:
    from aligners.pairs.probing import encoded_pair

    return lambda prompts, turns: encoded_pair(prompts, pair)


def _first_pair(pairs: str, progress: Progress) -> Any:
    from aligners.pairs.data import load_pairs

    return load_pairs(pairs, 1, progress=progress).pairs[0]


def _loading(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of models; `doctor` has no others."""
    given = nested(settings)
    loading = given.pop("model", {})
    if given or not isinstance(loading, Mapping):
        wrong = next(iter(given), "model")
        raise UsageError(f"--set {wrong}: doctor takes settings of the models, --set model.KEY=VALUE.")
    return loading
