"""Whether a reply is a whole text, and whether what a benchmark makes of it is a verdict: else it is an error row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from harness.errors import HarnessError
from harness.protocols.benchmark import JudgeParseError, Verdict
from harness.protocols.ending import CUT, broken, finish_of
from harness.protocols.judge import Reply
from harness.protocols.official import is_official

LONGEST_REASON = 200
"""Characters of an unexpected error that are kept."""
MORE_TOKENS = "allow it more tokens (--set judge.extra_body={max_tokens: 4096} of an openai: judge)"


def as_text(reply: Reply) -> Reply:
    """``reply``, as a failed one if a judge of another package gives something else than a text."""
    if reply.text is None or isinstance(reply.text, str):
        return reply
    return dataclasses.replace(reply, text=None, error=f"the reply is {type(reply.text).__name__}, not text")


def is_cut(reply: Reply) -> bool:
    """Whether it ended at the judge's token limit."""
    return finish_of(reply.usage.get("finish_reason")) == CUT


def unread(reply: Reply, rated_first: bool) -> str:
    """Why the end of ``reply`` is missing, where the rating may still have been to come; "" if it is whole enough.

    What reads like a rating in such a reply may be a draft. ``rated_first``: see Benchmark.
    """
    if reason := broken(reply.usage.get("finish_reason")):
        return reason
    return f"is cut at its token limit: {MORE_TOKENS}" if is_cut(reply) and not rated_first else ""


def sound(judge: Callable[[], Verdict]) -> Verdict:
    """What ``judge`` makes of an answer, as a failed sample where it fails or counts what is no number.

    So a text that a benchmark does not expect fails its own sample, not the run. JudgeParseError (the replies cannot be
    read) and HarnessError (nothing can be scored here) pass.
    """
    try:
        verdict = judge()
    except (JudgeParseError, HarnessError):
        raise
    except Exception as error:
        return Verdict({}, error=f"no verdict: {type(error).__name__}: {str(error)[:LONGEST_REASON]}")
    if not isinstance(verdict, Verdict):
        return Verdict({}, error=f"no verdict: the benchmark gives {str(verdict)[:LONGEST_REASON]!r} for one")
    official = {name: value for name, value in verdict.counts.items() if is_official(name)}
    if all(_finite(value) for name, value in verdict.counts.items() if name not in official):
        return verdict
    return dataclasses.replace(verdict, counts=official, error="no verdict: it counts what is no finite number")


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
