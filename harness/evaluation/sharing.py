"""Working beside other processes on the same results file: nothing is asked twice, and what one began is waited for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence

from harness.evaluation.generate import AnswerKeys, generate, unasked
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.store.claims import Claims
from harness.util.options import content_key

POLL = 0.5
"""Seconds between looks at the store while others hold all that is left."""


def turns(
    store: Store | None, scope: str, items: Sequence[str], poll: float = POLL
) -> Generator[list[str], None, None]:
    """Yield ``items`` in parts that this process holds: at once all that nobody else does, then, as they come free,
    those that others held, whose results are in the store by then, or lost with a process that died. Without a
    ``store`` nothing is held, and there is one part.

    To be closed (``contextlib.closing``), so that what is held is given back also after an error.
    """
    left = list(items)
    if store is None and left:
        yield left
    if store is None or not left:
        return
    with Claims(store.path) as claims:
        while left:
            free = claims.free(scope, left)
            taken = claims.take(scope, free, len(free)) if free else []
            if not taken:
                time.sleep(poll)
                continue
            yield taken
            claims.release(scope, taken)
            held = set(taken)
            left = [item for item in left if item not in held]


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
    scope = _scope(model)
    failed = unasked(model, samples)
    while True:
        answers = {**failed, **keys.stored(store, model)}
        progress("answers", len(answers), len(samples))
        missing = [sample for sample in samples if sample.id not in answers]
        if not missing:
            return answers
        groups = _groups(samples, missing, keys)
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


def generate_once(
    store: Store,
    model: Model,
    samples: Sequence[Sample],
    decoding: Decoding,
    *,
    fresh: bool = False,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """As ``generate``; what another process is having answered is waited for, and not answered twice."""
    keys = AnswerKeys(samples, decoding, model.recorded)
    answers = ({} if fresh else keys.stored(store, model)) | unasked(model, samples)
    groups = _groups(samples, [sample for sample in samples if sample.id not in answers], keys)
    with contextlib.closing(turns(None if model.recorded else store, _scope(model), list(groups))) as parts:
        for part in parts:
            ids = {sample.id for group in part for sample in groups[group]}
            before = len(answers)

            def counted(step: str, done: int, total: int, note: str = "", before: int = before) -> None:
                progress(step, before + done, len(samples), note)

            asked = [sample for sample in samples if sample.id in ids]  # in their order, as if alone
            answers.update(generate(store, model, asked, decoding, fresh=fresh, progress=counted))
    return answers


def _scope(model: Model) -> str:
    return content_key("answers", model.key)


def _groups(samples: Sequence[Sample], missing: Sequence[Sample], keys: AnswerKeys) -> dict[str, list[Sample]]:
    """The missing samples by image, so that one is encoded once: each group under the key of its first question."""
    first: dict[str, str] = {}
    for sample in samples:
        first.setdefault(sample.image_group, keys.of[sample.id])
    groups: dict[str, list[Sample]] = {}
    for sample in missing:
        groups.setdefault(first[sample.image_group], []).append(sample)
    return groups


def _how_many(groups: dict[str, list[Sample]], size: int) -> int:
    """How many groups hold about ``size`` samples."""
    mean = sum(map(len, groups.values())) / len(groups)
    return max(1, round(size / mean))


@contextlib.contextmanager
def exclusive(claims: Claims, what: str, poll: float = POLL) -> Iterator[None]:
    """One process at a time: the others wait for their turn, or for the end of one that died."""
    while not claims.take("turn", [what], 1):
        time.sleep(poll)
    try:
        yield
    finally:
        claims.release("turn", [what])
