"""How preference data is read: the settings that a user needs where the data does not say everything itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aligners.pairs.formats import Wording, parse_columns
from aligners.pairs.images import ImageSource
from aligners.pairs.where import parse_condition
from harness.errors import UsageError
from harness.util.options import added


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How preference data is read.

    Args:
        split: of data with several; "" takes train, or the only one.
        subset: of a hub data set with several, by the hub's name; "" takes its default.
        image_root: folder of the images' paths and numbers; "": the folder of the file that names them.
        columns: our names of the data's columns, as chosen=y_win,rejected=y_lose; =NAME leaves a column out.
        image_urls: download images that are given by URL, once, into the cache.
        question: asked where a row has none (data of descriptions).
        unwrap_prompts: take the question out of prompts that hold a chat template.
        text_only: accept data without a single image; rows without one among others are always accepted.
        where: conditions that rows must all meet, each COLUMN=VALUE, COLUMN=ONE,OTHER or COLUMN!=VALUE by the data's
            own columns, OUTER.INNER for one inside another; before limit. It is not of held-out pairs. A question mark
            before it: only if the data has such a column.
    """

    split: str = added("")
    subset: str = added("")
    image_root: str = added("")
    columns: str = added("")
    image_urls: bool = added(False)
    question: str = added("")
    unwrap_prompts: bool = added(False)
    text_only: bool = added(False)
    where: tuple[str, ...] = added(())

    def __post_init__(self) -> None:
        where = (self.where,) if isinstance(self.where, str) else self.where
        object.__setattr__(self, "where", tuple(text.strip() for text in where if text.strip()))
        try:
            parse_columns(self.columns)
            for text in self.where:
                parse_condition(text)
        except ValueError as error:
            raise UsageError(f"align: {error}.") from error
        if self.image_root:  # so that the record holds from any directory
            object.__setattr__(self, "image_root", str(Path(self.image_root).resolve()))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Reading:
        """Those of ``settings`` (a stored configuration) that are of the reading."""
        return Reading(**{field.name: settings[field.name] for field in fields(Reading) if field.name in settings})

    @property
    def of_other_data(self) -> Reading:
        """How further data, such as held-out pairs, are read beside these: their splits and rows are their own."""
        own = {field.name: getattr(self, field.name) for field in fields(Reading)}
        return Reading(**{**own, "split": "", "subset": "", "where": ()})

    @property
    def wording(self) -> Wording:
        """What is said of the rows' columns and questions."""
        return Wording(parse_columns(self.columns), self.question, self.unwrap_prompts)

    @property
    def image_source(self) -> ImageSource:
        """Where images are found. Raises UsageError if their folder is not there."""
        if self.image_root and not Path(self.image_root).is_dir():
            raise UsageError(f"align: image_root={self.image_root}: there is no such folder.")
        return ImageSource(Path(self.image_root) if self.image_root else None, self.image_urls)
