"""A splitter: responses are cut at every comma, semicolon and end of sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligners.pair_hardness.splitter import Splitter
from harness.protocols.progress import Progress, silent


class PhraseSplitter(Splitter):
    """``--set splitter=phrases``. Another way of cutting needs another name, since caches are kept under it."""

    name = "phrases-1"

    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        return [[piece for piece in re.split(r"(?<=[.!?])\s+|[,;]\s*", text) if piece] or [text] for text in texts]
