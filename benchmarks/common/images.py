"""The image of a row of a benchmark's data: inside the row, or by its path."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.protocols.conversation import Image

LONGEST_PATH = 512
"""Characters; an encoded picture is longer."""


def image_in(row: Mapping[str, Any], root: Path, where: str) -> Image | None:
    """The image by ``image_path``, or of ``image`` (base64, a data URI or a path); paths are relative to ``root``.

    ``where`` names file and row in the DataError of what is neither.
    """
    path, encoded = row.get("image_path"), row.get("image")
    if isinstance(path, str) and path:
        return Image(path=root / path)
    if not isinstance(encoded, str) or not encoded:
        return None
    if len(encoded) < LONGEST_PATH and Path(encoded).suffix:
        return Image(path=root / encoded)
    try:
        return Image(data=base64.b64decode(encoded.partition("base64,")[2] or encoded))
    except binascii.Error as error:
        raise DataError(f"{where}: field 'image' is not base64: {error}.") from error
