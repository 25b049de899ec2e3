"""Answering a benchmark together with other processes on the same results file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.evaluation.generate import AnswerKeys, generate, unasked
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.store.claims import Claims
from harness.util.options import content_key

POLL = 0.5
"""Seconds between looks at the store while others hold all that is left."""


def generate_shared(
    store: Store,
    model: Model,
    samples: Sequence[Sample],
    decoding: Decoding,
    claims: Claims,
    *,
    progress: Progress = silent,
    poll: float = POLL,
) -> dict[str, Answer]:
    """Answers by sample id, as ``generate`` gives them; returns when all are stored, whoever made them.

    The samples of an image are claimed together. What another process failed to answer is tried once more here.
    """
    keys = AnswerKeys(samples, decoding, model.recorded)
    scope = content_key("answers", model.key)
    failed = unasked(model, samples)
    while True:
        answers = {**failed, **keys.stored(store, model)}
        progress("answers", len(answers), len(samples))
        missing = [sample for sample in samples if sample.id not in answers]
        if not missing:
            return answers
        groups: dict[str, list[Sample]] = {}
        for sample in missing:
            groups.setdefault(sample.group or sample.id, []).append(sample)
        taken = claims.take(scope, list(groups), _how_many(groups, model.batch_size))
        if not taken:
            time.sleep(poll)
            continue
        try:
            # What was answered since it was found missing is in the store, and not answered again.
            part = generate(store, model, [s for group in taken for s in groups[group]], decoding)
            failed.update({id_: answer for id_, answer in part.items() if answer.text is None})
        finally:
            claims.release(scope, taken)


def _how_many(groups: dict[str, list[Sample]], size: int) -> int:
    """How many groups hold about ``size`` samples."""
    mean = sum(map(len, groups.values())) / len(groups)
    return max(1, round(size / mean))


@contextmanager
def exclusive(claims: Claims, what: str, poll: float = POLL) -> Iterator[None]:
    """One process at a time: the others wait for their turn, or for the end of one that died."""
    while not claims.take("turn", [what], 1):
        time.sleep(poll)
    try:
        yield
    finally:
        claims.release("turn", [what])
