"""Labels of people from a file: JSON lines or CSV, one row an answer."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.util.jsonl import iter_jsonl

EXPECTED = 'rows of {"id": sample id, "label": number, true or false, "run": model\'s run (where several were judged)}'
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
LABELS = ("label", "rating")
LARGEST = 1e9
"""No rating is larger: it is a mistake in writing."""


@dataclass(frozen=True)
class HumanLabels:
    """What people said of answers: by (run or "", sample id) a number.

    Args:
        path: of the file, for messages.
        labels: by run ("" where the file names none) and sample id the line and the label.
    """

    path: Path
    labels: Mapping[tuple[str, str], tuple[int, float]]

    def __str__(self) -> str:
        return f"people ({self.path.name})"

    def has(self, run: str, sample: str) -> bool:
        """Whether an answer is labelled; a row that names no run may be of any."""
        return (run, sample) in self.labels or ("", sample) in self.labels

    def of(self, runs: Sequence[str]) -> dict[tuple[str, str], float]:
        """The labels by run and sample id; what names no run is of the only one that was judged.

        Raises UsageError where several were, and DataError for an answer with two labels then.
        """
        if any(not run for run, _ in self.labels) and len(runs) > 1:
            raise UsageError(
                f"--human {self.path}: it names no run, and answers of {len(runs)} were judged: give each row a field "
                f'"run", or choose one with --run ({", ".join(runs[:5])}).'
            )
        found: dict[tuple[str, str], tuple[int, float]] = {}
        for (run, sample), (line, label) in self.labels.items() if runs else ():
            key = run or runs[0], sample
            if key in found:
                raise DataError(
                    f"{self.path} line {line}: id {sample} of {key[0]} was labelled on line {found[key][0]} already, "
                    "once with and once without its run; keep one."
                )
            found[key] = line, label
        return {key: label for key, (_, label) in found.items()}


def read_human_labels(path: Path) -> HumanLabels:
    """Read ``path``; raises DataError naming the row at fault: no id, no label, or one that is given twice."""
    labels: dict[tuple[str, str], tuple[int, float]] = {}
    for line, row in _rows(path):
        where = f"{path} line {line}"
        sample, run = row.get("id"), "" if row.get("run") is None else row["run"]
        if isinstance(sample, bool) or not isinstance(sample, int | str) or sample == "":
            raise DataError(f"{where}: field 'id' should be a sample's id, found {sample!r}. Expected {EXPECTED}.")
        if not isinstance(run, str):
            raise DataError(f"{where}: field 'run' should be the name of a run, found {run!r}.")
        key = run, str(sample)
        if key in labels:
            raise DataError(f"{where}: id {sample} was labelled on line {labels[key][0]} already; keep one.")
        labels[key] = line, _label(row, where)
    if not labels:
        raise DataError(f"{path}: no labels in it. Expected {EXPECTED}.")
    return HumanLabels(path, labels)


def _label(row: Mapping[str, Any], where: str) -> float:
    """The row's label as a number: yes and true are 1, no and false 0."""
    given = [name for name in LABELS if row.get(name) not in (None, "")]
    if len(given) != 1:
        found = "none" if not given else " and ".join(given)
        raise DataError(f"{where}: expected one field of {' or '.join(LABELS)}, found {found}.")
    value = row[given[0]]
    word = value.strip().lower() if isinstance(value, str) else ""
    try:
        # Python alone reads 1_0 as ten.
        number = WORDS[word] if word in WORDS else math.nan if "_" in word else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= LARGEST:
        raise DataError(f"{where}: field {given[0]!r} should be a number, yes or no, found {value!r}.")
    return number


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix.lower() not in (".csv", ".tsv"):
        yield from iter_jsonl(path, EXPECTED)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            reader = csv.DictReader(text, delimiter=delimiter, strict=True)
            names = list(reader.fieldnames or ())
            if len({*names}) < len(names) or (names and "id" not in names):
                raise DataError(f"{path} line 1: expected the columns id and label, each once; found {names}.")
            for row in reader:
                if None in row:  # a number with a decimal comma, for one
                    many = len(names) + len(row[None])
                    raise DataError(f"{path} line {reader.line_num}: {many} cells, where the header has {len(names)}.")
                yield reader.line_num, row
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
