"""What a splitter is: it cuts a response into sub-sentences that can be held against the image one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from harness.errors import HarnessError
from harness.protocols.progress import Progress, silent
from harness.registry import Registry, extends


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


SPLITTERS: Registry[type[Splitter]] = Registry(
    "splitter",
    ("aligners.pair_hardness.rule_splitter", "aligners.pair_hardness.llm_splitter"),
    package="aligners.pair_hardness",
    group="dama_harness.splitters",
    check=extends(Splitter),
)
