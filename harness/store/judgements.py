"""What a verdict was read off: the judge's replies, found again by the keys that the verdict holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from harness.protocols.judge import Reply
from harness.store.file import ResultsFile, dump, storable
from harness.store.views import QUERIES
from harness.util.options import content_key
from harness.util.secrets import hidden_values


@dataclass(frozen=True)
class ReadReply:
    """The key from a verdict to a reply that it was read off.

    Args:
        attempt: how often the judge had been asked before.
        prompt: the key of what it was asked: of the whole prompt, the image by content.
        reply: the key of the text that it gave; "" for a call that failed.
    """

    attempt: int
    prompt: str
    reply: str

    @classmethod
    def of(cls, attempt: int, prompt: str, reply: Reply) -> ReadReply:
        return cls(attempt, prompt, "" if reply.text is None else _key_of(reply.text))


@dataclass(frozen=True)
class Judgement:
    """A reply that a verdict was read off.

    Args:
        attempt: how often the judge had been asked before.
        prompt: the key of what it was asked, which is the same wherever the same was asked.
        judge: the judge as it called itself.
        reply: the text, with its thoughts; None where there is none.
        error: why there is none.
    """

    attempt: int
    prompt: str
    judge: str
    reply: str | None
    error: str | None = None


GONE = "the reply is not stored any more"
REPLACED = "another reply was stored in its place since"


class Judgements(ResultsFile):
    """The column replies of the table verdict, with the rows of the table reply that it names."""

    def judgements(self, evaluation: int) -> dict[tuple[str, int], list[Judgement] | None]:
        """Of every verdict of an evaluation, by sample id and judge run, what it was read off, by attempt.

        None where that was not recorded (by an earlier version, or an engine of its own); an empty list where no judge
        was asked.
        """
        verdicts = "SELECT evaluation, sample_id, judge_run, replies FROM verdict WHERE evaluation = ?"
        recorded = self.read("verdict", verdicts, [evaluation])
        known = {(row["sample_id"], row["judge_run"]): row["replies"] is not None for row in recorded}
        read = defaultdict[tuple[str, int], list[Judgement]](list)
        query = f"""SELECT sample, judge_run, attempt, prompt, judge_returned, reply, error, reply_key
                    FROM ({QUERIES["judgements"]}) WHERE evaluation = ? ORDER BY attempt"""
        for sample, run, attempt, prompt, judge, reply, error, key in self.db.execute(query, [evaluation]):
            read[sample, run].append(_checked(Judgement(attempt, prompt, judge or "", reply, error), key))
        return {verdict: read[verdict] if there else None for verdict, there in known.items()}


def _checked(found: Judgement, key: str) -> Judgement:
    """``found`` if it is what the verdict was read off, of which the ``key`` is known; else why it cannot be shown."""
    if found.reply is not None and _key_of(found.reply) == key:
        return replace(found, error=None)
    lost = found.error or GONE if found.reply is None else REPLACED
    return replace(found, reply=None, error=lost)


def _key_of(text: str) -> str:
    """The key of a reply as it is stored: without secrets and halves of characters."""
    return content_key(*storable(hidden_values((text,))))


def replies_column(replies: Sequence[ReadReply] | None) -> str | None:
    """``replies`` as they are stored; None where it is not known what a verdict was read off."""
    return None if replies is None else dump([asdict(each) for each in replies])
