"""The probe of models before `bench` asks them, and for `doctor`: what was found is stored, and is not done again."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.models.prompts import common_length
from harness.models.settings import PromptSettings
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Turn
from harness.protocols.judge import Judge
from harness.protocols.model import Answer, Model
from harness.protocols.probe import VERSION, Check, Encode, Probe, Trained
from harness.protocols.progress import Progress
from harness.store import AlignmentRecord, Store
from harness.util.distributed import rank_and_world_size
from harness.util.environment import environment
from harness.util.options import content_key

SHOWN = 60
"""Characters of a prompt that are shown where it parts from another."""


def encode(prompts: Any, turns: Sequence[Turn]) -> Trained:
    """As training encodes; the room of pairs is imported when it is needed."""
    from aligners.pairs.probing import encoded

    return encoded(prompts, turns)


class Probed(Model):
    """``model``, probed before its first answer. A fault raises UsageError, and nothing is asked.

    Args:
        store: keeps what is found, and has what was found of the same weights, settings and software before.
        trained: the probe of the alignment that the model comes from, as stored; {} if there is none.
        chosen: settings that the user gave the model: a prompt that he changed is a warning, not a fault.
    """

    def __init__(
        self,
        model: Model,
        store: Store,
        trained: Mapping[str, Any],
        chosen: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self._model, self._store, self._trained, self._progress = model, store, trained, progress
        self._other_prompt_wanted = bool({f.name for f in dataclasses.fields(PromptSettings)} & chosen.keys())
        self.name, self.spec, self.key, self.route = model.name, model.spec, model.key, model.route
        self.asked_with, self.recorded = model.asked_with, model.recorded
        self._found: dict[str, Any] | None = None
        self._complete = False
        self.judge: Judge | None = None
        """Of the answers that are asked for next; it is probed before they are."""

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        return self._model.batch_size

    @property
    def record(self) -> dict[str, Any]:
        """What is stored of the probe with an evaluation; {} where nothing had to be asked, now or before."""
        if self._found is None:
            self._found, self._complete = self._store.probe(self._key) or ({}, False)
        return self._found

    def __getattr__(self, name: str) -> Any:
        """What else the model has."""
        return getattr(self._model, name)

    def decodes(self, asked: Decoding) -> Decoding:
        return self._model.decodes(asked)

    def probe(self, encode: Encode | None = None, turns: Sequence[Turn] = ()) -> Probe | None:
        return self._model.probe(encode, turns)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """The model's answers, after the probe of the judge and its own."""
        asked = self.judge is not None and not self._model.recorded  # what is recorded costs nothing to look up
        if samples and self.judge is not None and asked and rank_and_world_size()[0] == 0:
            self.judge.probe()
        if samples and not (self.record and self._complete):  # what could not be asked then is asked again
            self._found, self._complete = self._probed(), True
        yield from self._model.generate(samples, decoding)

    @property
    def _key(self) -> str:
        return content_key(self._model.key, self._model.route, VERSION)

    def _probed(self) -> dict[str, Any]:
        self._progress(f"probe of {self.name}", 0, 1)
        found = self._model.probe(encode)
        self._progress(f"probe of {self.name}", 1, 1)
        if found is None:
            return {}
        if parts := parting(self._trained, found.record):
            check = Check("trained", "warning" if self._other_prompt_wanted else "bad", parts)
            found = dataclasses.replace(found, checks=(*found.checks, check))
        found.require(f"--model {self.spec}")
        record = {"key": self._key if found.complete else "", **found.record}
        if rank_and_world_size()[0] > 0:
            return record
        unseen = [check.detail for check in found.checks if check.name == "server" and check.state == "note"]
        for text in [*found.of_state("warning"), *unseen]:
            warnings.warn(f"--model {self.spec}: {text}", stacklevel=2)
        return self._store.save_probe(self._key, record, complete=found.complete)


def was_probed(alignment: AlignmentRecord) -> bool:
    """Whether an alignment that is resumed was probed when it began, by the software that is here now."""
    probe = alignment.info.get("probe", {})
    return probe.get("version") == VERSION and alignment.info.get("software") == environment()


def parting(trained: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """How the prompt or the end of an answer in training, as its probe was stored, differs from now; "" if not."""
    if trained.get("version") != asked["version"] or not (trained.get("digest") and asked["digest"]):
        return ""
    if trained["digest"] != asked["digest"]:
        before, now = trained["prompt"], asked["prompt"]
        at = max(0, common_length(before, now) - SHOWN // 2)
        counts = f"{trained['tokens'].get('training')} and {asked['tokens']['generation']} tokens"
        return (
            f"it was trained on another prompt than it is asked ({counts}): {before[at : at + SHOWN]!r} in training, "
            f"{now[at : at + SHOWN]!r} now"
        )
    if trained["end"] and asked["end"] and trained["end"] != asked["end"]:
        return f"its answers were trained to end in {trained['end']!r}, and now end in {asked['end']!r}"
    return ""
