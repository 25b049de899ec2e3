"""From samples to answers: what the store holds is not generated again, and every answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.util.images import seen_digest
from harness.util.options import content_key

ANSWERS_PER_WRITE = 64


class ImageDigests:
    """sha256 of images, each file read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, image: Image | None) -> str:
        """Hex digest; "" without an image, and for one that cannot be read (its answer will be an error)."""
        if image is None:
            return ""
        if image.path is not None and image.path in self._known:
            return self._known[image.path]
        try:
            digest = seen_digest(image.read())
        except OSError:
            return ""
        if image.path is not None:
            self._known[image.path] = digest
        return digest


class AnswerKeys:
    """The keys under which the answers to ``samples`` are stored: prompt, image by content, decoding."""

    def __init__(self, samples: Sequence[Sample], decoding: Decoding) -> None:
        digests = ImageDigests()
        self.of = {s.id: content_key(s.prompt, digests.of(s.image), decoding) for s in samples}

    def stored(self, store: Store, model: Model) -> dict[str, Answer]:
        """The stored answers of ``model`` by sample id; failed ones do not count."""
        return self.stored_under(store, model.key)

    def stored_under(self, store: Store, model_key: str) -> dict[str, Answer]:
        """The same for a model that is known by its key alone."""
        stored = store.answers(model_key, self.of.values())
        return {id_: stored[key] for id_, key in self.of.items() if key in stored and stored[key].error is None}


def generate(
    store: Store,
    model: Model,
    samples: Sequence[Sample],
    decoding: Decoding,
    *,
    fresh: bool = False,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """Answers by sample id: stored ones, and new ones for what is missing, stored as they come."""
    keys = AnswerKeys(samples, decoding)
    answers = {} if fresh else keys.stored(store, model)
    missing = [sample for sample in samples if sample.id not in answers]
    waiting: list[tuple[str, Answer]] = []
    try:
        for position, answer in model.generate(missing, decoding):
            sample = missing[position]
            answers[sample.id] = answer
            waiting.append((keys.of[sample.id], answer))
            if len(waiting) >= ANSWERS_PER_WRITE:
                store.save_answers(model.key, waiting)
                waiting = []
            progress("answers", len(answers), len(samples))
    finally:
        store.save_answers(model.key, waiting)
    return answers
