"""What a judge is to the engine: questions in, raw replies out, each as soon as it is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.protocols.benchmark import JudgePrompt


@dataclass(frozen=True)
class JudgeRequest:
    """A question about the answer to sample ``sample_id``, asked in judge run ``run`` for the ``attempt``-th time.

    ``answer`` is what is judged; a judge that knows the truth of the embedded world reads it instead of the prompt.
    """

    sample_id: str
    question: JudgePrompt
    answer: str
    run: int = 0
    attempt: int = 0


@dataclass(frozen=True)
class Reply:
    """A judge's raw reply, or why there is none. ``model`` is the name the endpoint returned.

    Of ``usage`` every number is summed up. ``finish_reason`` says how it ended, in any spelling that
    ``harness.protocols.ending`` knows, ``adapted`` (texts) what was not sent as the protocol has it,
    ``unpaid`` (true) that the judge's budget could not bear the question.
    """

    text: str | None
    model: str
    error: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)


class Judge(ABC):
    """Base of every judge: made from what stands after its name (``--judge NAME:ARGUMENT``).

    A judge is constructed as ``kind(argument, root)``, with the benchmark's data directory ``root``; one that declares
    ``Settings`` as ``kind(argument, root, settings)``, with an instance of them. A wrong argument raises UsageError.

    Every judge sets:
        name: the judge as asked for. With ``endpoint`` it is in the key under which its replies are stored.

    The rest has a default:
        Settings: the dataclass of its settings (`--set judge.KEY=VALUE`); None if it has none. One with a field
            ``budget`` (USD) takes `--budget` and serves all benchmarks of a command, so that one budget holds for all;
            to keep to it is the judge's own task: what it may not ask any more is a Reply without text and an error;
            one with a field ``prices`` (a file's name, see ``harness.chat.prices``) takes `--prices`.
        endpoint: where it answers.
        model: the name it expects in replies; another one that is returned names the judge's column in tables.
        variant: settings that change what it is asked, as people read them: part of the keys of its replies and of
            its name in tables; "" where there are none.
        concurrency: how many questions it answers at once.
        runs: how many judge runs it has to give, where that is not the protocol's choice.
        recorded: its replies are in a file: asking again costs nothing, and as many attempts are read as officially.
        keyed_by_sample: its replies belong to samples, not to prompts, and are never taken from the store.
        ids: the samples that it has replies for, where it has them for some only.
        local: it holds a model of its own, loaded when it is first asked: workers of a cluster can hold it instead.
        reads_data: it reads the benchmark's data directory, so that it is made once for each; else once for a command.
    """

    Settings: ClassVar[type[Any] | None] = None

    name: str
    endpoint: str = ""
    model: str = ""
    variant: str = ""
    concurrency: int = 1
    runs: int | None = None
    recorded: bool = False
    keyed_by_sample: bool = False
    ids: frozenset[str] = frozenset()
    local: bool = False
    reads_data: ClassVar[bool] = True

    @abstractmethod
    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        """Yield (position in ``requests``, reply) in order of arrival, one for every request."""

    def check(self) -> None:  # noqa: B027 (most judges need nothing)
        """Raise UsageError where it cannot be asked here (no key, no model): before any work, not by `--dry-run`."""

    def probe(self) -> None:  # noqa: B027 (most judges need nothing)
        """Raise UsageError where it gives no answer: asked a short question before a model answers for hours.

        Called before the first answer that has to be generated, not with `--no-probe`; asks once, however often called.
        """

    def load(self) -> None:  # noqa: B027 (most judges hold nothing)
        """Load what a ``local`` judge holds; called in a worker of a cluster before its first question."""

    def recall(self, stored: Reply) -> Reply | None:
        """A stored reply as this judge takes it now; None if it does not count and must be asked for again."""
        return stored if stored.text is not None else None

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        """USD for ``usage``; None where the price is unknown. Without an own rule a judge is free.

        ``usage`` sums the replies' own ``Reply.usage`` (every number in it), with ``calls``, how many replies there
        are. A dry run gives ``prompt_tokens``, ``completion_tokens`` (estimated) and ``calls``.
        """
        return 0.0

    @property
    def spent(self) -> float | None:
        """USD that this object spent so far; None where nothing has a price."""
        return None
