"""What a splitter is: it cuts a response into sub-sentences that can be held against the image one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from harness.errors import HarnessError
from harness.protocols.progress import Progress, silent
from harness.registry import Registry
from harness.util.distributed import rank_and_world_size
from harness.util.division import in_rounds
from harness.util.shape import extends

AT_ONCE = 512
"""Texts that one of several processes splits at a time."""


class Splitter(ABC):
    """Base of every splitter (``--set splitter=NAME``).

    Args:
        model, base_url: `--set splitter_model` and `--set splitter_base_url`, for splitters that ask an endpoint.

    Every splitter sets ``name``: it stands in the record of what was computed and in the cache keys, so it changes with
    whatever changes the pieces. ``needs_model`` says that it cannot do without ``splitter_model``; ``api_key_env`` is
    the environment variable that holds the endpoint's key (`--set splitter_api_key_env`), "" for the usual one.
    """

    needs_model: ClassVar[bool] = False
    name: str
    api_key_env: str = ""

    def __init__(self, model: str = "", base_url: str | None = None) -> None:
        self.model, self.base_url = model, base_url

    @abstractmethod
    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        """The pieces of each text, at least one each, in order. Raises SplitError for a text it cannot split."""


class SplitError(HarnessError):
    """The text at ``index`` of the call could not be split."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


def split_in_shares(splitter: Splitter, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
    """The pieces of each of ``texts``, of which every process of a run splits its share.

    Raises SplitError, in every process, with the index of the first text that cannot be split.
    """
    distinct = list(dict.fromkeys(texts))
    # One process asks about all texts before it says what failed; of several each does so for some at a time.
    size = len(distinct) if rank_and_world_size()[1] == 1 else AT_ONCE
    parts = [distinct[start : start + size] for start in range(0, len(distinct), size)]

    def split(number: int) -> list[list[str]] | tuple[int, str]:
        try:
            return splitter.split(parts[number], progress)
        except SplitError as error:
            return error.index, str(error)

    found: dict[str, list[str]] = {}
    for number, pieces in in_rounds(len(parts), split):
        if isinstance(pieces, tuple):
            raise SplitError(texts.index(parts[number][pieces[0]]), pieces[1])
        found.update(zip(parts[number], pieces, strict=True))
    return [found[text] for text in texts]


SPLITTERS: Registry[type[Splitter]] = Registry(
    "splitter",
    ("aligners.pair_hardness.rule_splitter", "aligners.pair_hardness.llm_splitter"),
    package="aligners.pair_hardness",
    group="dama_harness.splitters",
    check=extends(Splitter),
)
