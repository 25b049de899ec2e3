"""From samples to answers: what the store holds is not generated again, and every answer is stored as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evaluation.absent import absent_images
from harness.evaluation.plugged import each_once
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.util.images import seen_digest
from harness.util.options import content_key


class ImageDigests:
    """sha256 of images, each file read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, image: Image | None) -> str:
        """Hex digest; "" without an image. One that cannot be read (its answer will be an error) is known by name."""
        if image is None:
            return ""
        if image.path is not None and image.path in self._known:
            return self._known[image.path]
        try:
            digest = seen_digest(image.read())
        except OSError:
            return f"unreadable {image.path}"
        if image.path is not None:
            self._known[image.path] = digest
        return digest


class AnswerKeys:
    """The keys under which the answers to ``samples`` are stored: prompt, image by content, decoding.

    Equal questions have one key, but of a model whose answers are ``recorded`` by sample.
    """

    def __init__(self, samples: Sequence[Sample], decoding: Decoding, recorded: bool = False) -> None:
        digests = ImageDigests()
        self.of = {
            s.id: content_key(s.prompt, digests.of(s.image), decoding, *([s.id] if recorded else [])) for s in samples
        }

    def stored(self, store: Store, model: Model) -> dict[str, Answer]:
        """The stored answers of ``model`` by sample id; failed ones do not count."""
        return self.stored_under(store, model.key)

    def stored_under(self, store: Store, model_key: str) -> dict[str, Answer]:
        """The same for a model that is known by its key alone."""
        stored = store.answers(model_key, self.of.values())
        return {id_: stored[key] for id_, key in self.of.items() if key in stored and stored[key].error is None}


def unasked(model: Model, samples: Sequence[Sample]) -> dict[str, Answer]:
    """Failed answers to the samples that ``model`` would have to be shown an image for that is not there."""
    absent = {} if model.recorded else absent_images(samples)
    return {id_: Answer(None, reason) for id_, reason in absent.items()}


def generate(
    store: Store,
    model: Model,
    samples: Sequence[Sample],
    decoding: Decoding,
    *,
    fresh: bool = False,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """Answers by sample id: stored ones, and new ones for what is missing, each stored at once.

    Equal questions are asked once, and their samples share the answer. What lacks its image is not asked.
    """
    keys = AnswerKeys(samples, decoding, model.recorded)
    answers = ({} if fresh else keys.stored(store, model)) | unasked(model, samples)
    equal: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.id not in answers:
            equal.setdefault(keys.of[sample.id], []).append(sample)
    questions = list(equal)
    asked = model.generate([group[0] for group in equal.values()], decoding)
    of_model = f"model {model.name}: generate", Answer(None, "the model gave no answer")
    for position, answer in each_once(asked, len(equal), *of_model):
        store.save_answers(model.key, [(questions[position], answer)])
        answers.update({sample.id: answer for sample in equal[questions[position]]})
        progress("answers", len(answers), len(samples))
    return answers
