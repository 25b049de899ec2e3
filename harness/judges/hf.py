"""The judge that is a model of this machine: ``hf:ID_OR_DIR``, run by transformers."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.judges.registry import JUDGES
from harness.models.settings import HfSettings
from harness.models.spec import load_model, parse_spec
from harness.models.weights import weights_identity
from harness.protocols.benchmark import Decoding, JudgePrompt, Sample
from harness.protocols.ending import CUT
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Model
from harness.util.options import content_key, keyed

MOST_TOKENS = 1024
"""Of a reply, where the protocol names no limit."""
HOW = ("batch_size", "device_map")
"""Settings that change no reply."""


class HfJudge(Judge):
    """An image-text-to-text model as judge. It is asked greedily whatever temperature the protocol has, so that its
    replies are the same in every batch and on every worker; each evaluation says so.

    Args:
        argument: ``ID_OR_DIR[+ADAPTER_DIR]``, as of ``--model hf:``.
        root: not used.
        settings: how it is loaded.

    Raises UsageError for a name that is no model's.
    """

    Settings = HfSettings
    local = True
    reads_data = False

    def __init__(self, argument: str, root: Path | None = None, settings: HfSettings | None = None) -> None:
        if not argument:
            raise UsageError("--judge hf: expected a model, as in hf:ID_OR_DIR.")
        self._spec = parse_spec(f"hf:{argument}")
        self._settings = settings or HfSettings()
        self.name, self.model = str(self._spec), str(self._spec)
        self.concurrency = self._settings.batch_size

    @functools.cached_property
    def endpoint(self) -> str:  # type: ignore[override]
        """Its weights and settings: replies of other weights in the same folder are others."""
        weights = [weights_identity(part) or part for part in (self._spec.target, *self._spec.adapters)]
        asked = {name: value for name, value in keyed(self._settings).items() if name not in HOW}
        return f"here, {content_key(weights, asked)}"

    @functools.cached_property
    def _loaded(self) -> Model:
        return load_model(self._spec, settings=vars(self._settings))

    def check(self) -> None:
        """Raise UsageError where it is not there, is of a type that cannot be loaded, or has broken weights."""
        spec = self._spec
        parts = (spec.target, *spec.adapters)
        _require_askable(self.name, parts, self._settings, tuple(weights_identity(part) for part in parts))

    def load(self) -> None:
        self._loaded  # noqa: B018 (loads it, once)

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        """Replies to the questions of one kind after the other, in batches."""
        kinds: dict[Decoding, list[int]] = {}
        for position, request in enumerate(requests):
            kinds.setdefault(_decoding(request.question), []).append(position)
        for decoding, positions in kinds.items():
            samples = [_sample(requests[position]) for position in positions]
            for place, answer in self._loaded.generate(samples, decoding):
                position = positions[place]
                usage = {
                    "completion_tokens": answer.tokens,
                    "finish_reason": CUT if answer.cut else "stop",
                    "adapted": _adapted(requests[position].question),
                }
                yield position, Reply(answer.text, self.model, answer.error, usage if answer.error is None else {})


@functools.lru_cache(maxsize=64)
def _require_askable(name: str, parts: tuple[str, ...], settings: HfSettings, weights: tuple[str, ...]) -> None:
    """``require_askable`` of the judge ``name``, once for the same weights."""
    from harness.models.loading import require_askable

    require_askable(parts[0], f"--judge {name}", settings, parts[1:])


def _decoding(question: JudgePrompt) -> Decoding:
    return Decoding(max_new_tokens=question.max_tokens or MOST_TOKENS, system=question.system or "")


def _sample(request: JudgeRequest) -> Sample:
    return Sample(request.sample_id, request.question.prompt, request.question.image)


def _adapted(question: JudgePrompt) -> list[str]:
    """What of the protocol a local judge is asked otherwise."""
    greedy = [f"temperature {question.temperature:g}: asked greedily"] if question.temperature else []
    return greedy + (
        ["role system: asked as the user"] if question.system is None and question.role == "system" else []
    )


JUDGES.register("hf", HfJudge)
