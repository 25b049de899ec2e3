"""Our models as a model of lmms-eval (extra ``general``), so that its tasks run on every backend of this project.

Importing this module imports lmms-eval; ``benchmarks.lmms`` does so only when a task of it is run.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image as PilImage

from harness.errors import UsageError
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.external import AnswerFunction
from harness.protocols.model import Answer
from harness.util.images import to_rgb

DEFAULT_NEW_TOKENS = 1024
"""lmms-eval's own models take this where a task sets no limit."""


class Bridge(lmms):  # type: ignore[misc]
    """A Model of this project behind lmms-eval's model interface.

    Requests of one decoding go to the model together, so that it batches them.
    A sample that cannot be answered is taken out of its task before lmms-eval scores it: ``failures`` holds the
    reasons by task and document.

    Args:
        answer: the model under test.
        tasks: the loaded tasks by name.
    """

    is_simple = True

    def __init__(self, answer: AnswerFunction, tasks: Mapping[str, Any]) -> None:
        super().__init__()
        self._answer, self._tasks = answer, tasks
        self.failures: dict[str, dict[int, str]] = defaultdict(dict)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The answers in the order of ``requests``; "" where there is none, and that document is left out."""
        texts = [""] * len(requests)
        by_decoding: dict[Decoding, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            by_decoding[_decoding(request.args[1], self._where(request))].append(i)
        for decoding, positions in by_decoding.items():
            samples = {i: self._sample(requests[i]) for i in positions}
            unique = {sample.id: sample for sample in samples.values()}
            answers = self._answer(list(unique.values()), decoding)
            for i, sample in samples.items():
                texts[i] = self._text(requests[i], answers[sample.id])
        for name, failed in self.failures.items():
            task = self._tasks[name]
            task._instances = [instance for instance in task._instances if instance.doc_id not in failed]
        return texts

    def _sample(self, request: Instance) -> Sample:
        context, _, doc_to_visual, doc_id, task, split = request.args
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) or []  # none: a question without image by design
        if visuals and all(visual is None for visual in visuals):
            return Sample(f"{task}:{doc_id}", context, Image(), group=f"{task}:{doc_id}")  # missing, hence not asked
        if len(visuals) > 1 or not all(isinstance(visual, PilImage.Image) for visual in visuals):
            kinds = ", ".join(type(visual).__name__ for visual in visuals[:3])
            raise UsageError(
                f"{self._where(request)}: it shows the model {len(visuals)} things ({kinds}); the backends here take "
                "one image a question."
            )
        image = Image(data=_png(visuals[0])) if visuals else None
        return Sample(f"{task}:{doc_id}", context.replace("<image>", "").strip(), image, group=f"{task}:{doc_id}")

    def _text(self, request: Instance, answer: Answer) -> str:
        *_, doc_id, task, _ = request.args
        if answer.text is None:
            self.failures[task][doc_id] = answer.error or "no answer"
            return ""
        stops = request.args[1].get("until") or []
        return until(answer.text, [stops] if isinstance(stops, str) else stops)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Not answered: an API model has no likelihood of a text it did not write."""
        raise UsageError(f"{self._where(requests[0])}: it compares likelihoods; only tasks that generate run here.")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Not answered: the backends here take one question a sample."""
        raise UsageError(f"{self._where(requests[0])}: it asks in several rounds; only tasks of one question run here.")

    def clean(self) -> None:
        """lmms-eval would drop the model here; it may have further tasks."""

    @staticmethod
    def _where(request: Instance) -> str:
        return f"lmms:{request.task_name}"


def until(text: str, stops: Sequence[str]) -> str:
    """``text`` up to the first of ``stops``."""
    for stop in stops:
        text = text.split(stop, maxsplit=1)[0] if stop else text
    return text


def _decoding(options: Mapping[str, Any], where: str) -> Decoding:
    """lmms-eval's generation options as ours; an option that would change answers and is not known is an error."""
    sampled = bool(options.get("do_sample", (options.get("temperature") or 0) > 0))
    top_p = options.get("top_p")
    if sampled and top_p not in (None, 1, 1.0):
        raise UsageError(f"{where}: it samples with top_p={top_p}, which the backends here do not take.")
    return Decoding(
        max_new_tokens=int(options.get("max_new_tokens") or options.get("max_gen_toks") or DEFAULT_NEW_TOKENS),
        num_beams=int(options.get("num_beams") or 1),
        temperature=float(options.get("temperature") or 0.0) if sampled else 0.0,
    )


def _png(image: PilImage.Image) -> bytes:
    out = io.BytesIO()
    to_rgb(image).save(out, format="PNG")
    return out.getvalue()
