"""An alignment with every setting resolved."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.util.options import content_key, keyed


@dataclass(frozen=True)
class AlignSpec:
    """An alignment with every setting resolved: what `--dry-run` shows, the store keeps and the key is made of.

    ``parent`` is the run that it starts from; what that is made of stands in ``train.model``. ``content`` says which
    pairs lie in ``train.data``, where a run of these settings was made when there were others.
    """

    name: str
    method: str
    label: str
    panel: str
    train: Any
    objective: Any
    hardness: Any
    heldout: str | None
    parent: str | None = None
    content: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """Everything that determines the result, flat enough to read."""
        return self._all(dataclasses.asdict)

    @property
    def key(self) -> str:
        return content_key({**self._all(keyed), **self._corruption})

    @property
    def _corruption(self) -> dict[str, int]:
        """The version of the corrupted images, of an objective whose settings do not say how they are made."""
        from aligners.pairs.corruption import VERSION, kinds_of

        default = kinds_of(self.objective.needs) and not self.objective.corruption_settings
        return {"corruption": VERSION} if default else {}

    def _all(self, settings_of: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {
            **settings_of(self.train),
            "method": self.method,
            "objective": settings_of(self.objective),
            "hardness": settings_of(self.hardness),
            "heldout": self.heldout,
            **({"content": self.content} if self.content else {}),
        }
