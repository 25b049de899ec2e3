"""Files of answers made elsewhere, as this harness and the official scripts write them, read by sample id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.models.answer_places import Row, asks, by_captioned, by_saying, by_spelling, is_about_another, plain
from harness.protocols.benchmark import Sample
from harness.util.files import read_json
from harness.util.json_kind import kind_of
from harness.util.jsonl import iter_jsonl

EXPECTED = '{"id": ..., "response": "text"}'
CAPTION = (("image_id",), "caption")
"""CHAIR's: the id is the image's, which is the sample's only where a benchmark asks of each image under its number."""
LAYOUTS = (
    (("id",), "response"),  # this harness; AMBER
    (("question_id",), "text"),  # LLaVA, RLAIF-V's and RLHF-V's generation
    CAPTION,
    (("category", "subcategory", "set_id", "figure_id", "question_id"), "model_prediction"),  # HallusionBench
)
"""Fields of the sample's id, whose parts are joined by "_", and of the answer."""
BY_PLACE = ("model_answer", "answer")
"""Fields of the answer in files that answer all questions in order: MMHal-Bench's template, RLAIF-V's evaluation."""
LOOSE = ("id", "question_id"), ("response", "text", "answer", "model_answer")
"""Fields of id and answer of a row of no such layout and without a question: one of each is taken for the pair."""
IMAGES = ("image_id", "image", "image_path", "image_url")
"""Fields that may name the image that a row is about."""
LONGEST_NAME = 500
"""Characters of an image's name: what is longer is the image itself."""
ANSWERS = frozenset([text for _, text in LAYOUTS] + list(BY_PLACE) + ["prediction"]) - {"caption"}
"""Fields that may hold an answer: a row gives one. A caption may be a context beside it; beside VLMEvalKit's prediction
"answer" is the reference."""


@dataclass(frozen=True)
class Responses:
    """The answers of a file by sample id.

    ``failed`` holds, by sample id, why a row gives no answer: it has an error.
    ``asked`` holds rows that are known by their place alone; ``prompts``, of rows with ids, what they say was asked;
    ``captioned``, of rows whose id is an image's, the ids.
    """

    answers: dict[str, str]
    failed: dict[str, str] = field(default_factory=dict)
    asked: dict[str, Row] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    captioned: set[str] = field(default_factory=set)

    def placed(self, samples: Sequence[Sample]) -> Responses:
        """The answers by the ids of ``samples``, all of them, where the file's own ids are none of theirs.

        POPE's official files number the questions of a split or of all splits by themselves. Then the questions decide:
        the file must ask those of one part of the benchmark after the other (what stands before ":" in the ids), in
        any order, each part whole and in its order. Where it does not, or two parts fit, it is returned as it is.
        Rows without an id that say which image or number they are about are placed by that, and ids that spell a
        number or an image's file otherwise by what they spell (``harness.models.answer_places``).
        """
        said = {**{id_: row.question for id_, row in self.asked.items()}, **self.prompts}
        known, rows = {sample.id for sample in samples}, self.answers.keys() | self.failed.keys()
        if self.asked.keys() == rows and (of := by_saying(self.asked, samples)):
            return self._of(of)
        if self.captioned == rows and (of := by_captioned([*rows], samples)):
            return self._of(of)
        if not self.asked and not known & rows and (of := by_spelling([*rows], samples)):
            return self._of(of)
        if not said or said.keys() != rows or known & said.keys():
            return self
        parts: dict[str, list[Sample]] = {}
        for sample in samples:
            parts.setdefault(sample.id.rpartition(":")[0], []).append(sample)
        asked, ids = [plain(question) for question in said.values()], list[str]()
        while len(ids) < len(asked):
            fitting = [name for name, part in parts.items() if asks(asked[len(ids) :], part)]
            if len(fitting) != 1:
                return self
            ids += [sample.id for sample in parts.pop(fitting[0])]
        return self._of(dict(zip(said, ids, strict=True)))

    def _of(self, of: Mapping[str, str]) -> Responses:
        """The same by other ids; what was asked is known to be right."""
        answers, failed = ({of[id_]: text for id_, text in each.items()} for each in (self.answers, self.failed))
        return Responses(answers, failed)

    def check(self, samples: Sequence[Sample]) -> None:
        """Raise DataError for a row whose question or image is not that of the sample in its place."""
        for sample in samples:
            row = self.asked.get(sample.id)
            if row is None:
                continue
            other = is_about_another(row, sample, samples)
            if other or plain(row.question) not in plain(sample.prompt):
                about, of = (f" about {row.image}", f" about {sample.group}") if other else ("", "")
                raise DataError(
                    f"{row.where}: it asks {row.question[:80]!r}{about}, and question {sample.id} of the data is "
                    f"{sample.prompt[:80]!r}{of}. Rows without an id belong to the questions in their order; give "
                    f"{EXPECTED} a line for another order or a part."
                )

    def asked_otherwise(self, samples: Sequence[Sample]) -> list[str]:
        """A note where rows with the ids of ``samples`` say that they were asked another question; else none."""
        said = [(sample, asked) for sample in samples if (asked := self.prompts.get(sample.id, "")).strip()]
        others = [(sample, asked) for sample, asked in said if not asks([plain(asked)], [sample])]
        if not others:
            return []
        sample, asked = others[0]
        return [
            f"{len(others)} of {len(said)} rows of the file say that another question was asked than that of the data: "
            f"for {sample.id} it is {asked[:80]!r} and not {sample.prompt[:80]!r}. Are they answers to these data?"
        ]


def read_responses(path: Path) -> Responses:
    """The answers of a file: JSON lines or a JSON array of rows, or one JSON object of id -> text (MM-Vet).

    A row is ``{"id", "response"}`` or another of ``LAYOUTS`` or of ``LOOSE``, or has ``question`` and ``answer`` (or
    ``model_answer``): then its place is its id until ``Responses.placed``. Ids compare as strings; further fields are
    ignored. A row that cannot be read, that fits two layouts, gives two answers or a key twice, or whose id came before
    raises a DataError that names file and row. A row with an ``error`` failed.
    """
    found = Responses({})
    for place, (where, row) in enumerate(_rows(path)):
        sample_id, text, fault = _id_and_text(row, str(place), where)
        if sample_id in found.answers or sample_id in found.failed:
            raise DataError(f"{where}: the id {sample_id!r} was answered before; keep one of the two.")
        if fault:
            found.failed[sample_id] = f"{where}: {fault}"
        else:
            found.answers[sample_id] = text
        layout = _layout(row, where)
        if layout == CAPTION:
            found.captioned.add(sample_id)
        if layout is None:
            found.asked[sample_id] = _known_by_place(row, where)
        elif isinstance(row.get("prompt"), str):
            found.prompts[sample_id] = row["prompt"]
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, row) of each answer."""
    whole = read_json(path, f"an array of {EXPECTED}", once=True) if _is_whole(path) else None
    if isinstance(whole, dict):
        yield from ((f"{path}, {id_!r}", {"id": id_, "response": text}) for id_, text in whole.items())
    elif isinstance(whole, list):
        for number, row in enumerate(whole, start=1):  # as lines are counted
            if not isinstance(row, dict):
                raise DataError(f"{path} row {number}: expected {EXPECTED}, found {kind_of(row)}.")
            yield f"{path} row {number}", row
    else:
        yield from ((f"{path} line {number}", row) for number, row in iter_jsonl(path, EXPECTED, once=True))


def _is_whole(path: Path) -> bool:
    """Whether the file is one JSON value and not one a line: an array, or an object of several lines or of texts."""
    try:
        with path.open("rb") as stream:
            line = next((line for line in stream if line.strip().removeprefix(b"\xef\xbb\xbf")), b"")
            more = any(other.strip() for other in stream)
    except (OSError, ValueError):
        return False  # who reads it says what is wrong
    begins = line.strip().removeprefix(b"\xef\xbb\xbf").lstrip()
    if begins.startswith(b"[") or (begins.startswith(b"{") and begins.rstrip(b" ,") == b"{"):
        return True
    return path.suffix == ".json" and (not more or not begins.endswith(b"}")) and not _is_row(begins)


def _is_row(line: bytes) -> bool:
    return any(f'"{name}"'.encode() in line for ids, text in LAYOUTS for name in (*ids, text))


def _layout(row: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], str] | None:
    """The fields of id and answer; None for a row that is known by its place. Raises DataError for two layouts."""
    fitting = [(ids, text) for ids, text in LAYOUTS if text in row and all(name in row for name in ids)]
    said = {
        (*(str(row[name]) for name in ids), row[text] if isinstance(row[text], str) else "") for ids, text in fitting
    }
    if len(said) > 1:
        names = " and ".join(", ".join(map(repr, (*ids, text))) for ids, text in fitting)
        raise DataError(f"{where}: it has two ids or answers ({names}); keep one pair.")
    if not fitting and not isinstance(row.get("question"), str):
        ids, texts = ([name for name in names if name in row] for names in LOOSE)
        return ((ids[0],), texts[0]) if len(ids) == len(texts) == 1 else None
    return fitting[0] if fitting else None


def _known_by_place(row: Mapping[str, Any], where: str) -> Row:
    said = [str(row[name]) for name in IMAGES if isinstance(row.get(name), str | int)]
    numbers = [str(row[name]) for name in LOOSE[0] if isinstance(row.get(name), str | int)]
    image = next((name for name in said if 0 < len(name) <= LONGEST_NAME), "")
    return Row(where, row["question"], image, numbers[0] if numbers else "")


def _id_and_text(row: Mapping[str, Any], place: str, where: str) -> tuple[str, str, str]:
    """(id, answer, why there is none; "" if there is one) of a row."""
    layout = _layout(row, where)
    parts: list[Any] = [place] if layout is None else [row[name] for name in layout[0]]
    named = layout[1] if layout else next((name for name in BY_PLACE if name in row), None)
    if named is None or (layout is None and not isinstance(row.get("question"), str)):
        raise DataError(f"{where}: expected {EXPECTED}, found the fields {', '.join(map(repr, row)) or 'of none'}.")
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, str | int):
            raise DataError(f"{where}: the id {part!r} is neither text nor a whole number; expected {EXPECTED}.")
    sample_id = "_".join(map(str, parts))
    text, error = row[named], row.get("error")
    others = [name for name in sorted(ANSWERS & row.keys() - {named}) if row[name] not in (None, text)]
    if others and text is not None:
        raise DataError(f"{where}: it has two answers ({named!r} and {others[0]!r}); keep one of the two.")
    failed = error not in (None, "", False)
    text = "" if failed and text is None else text
    if not isinstance(text, str):
        raise DataError(f"{where}: the response is {kind_of(text)}, not a text; expected {EXPECTED}.")
    fault = f"it says that it failed ({error!r:.80})" if failed else ""
    # JSON can spell half a surrogate pair, which no database takes.
    return sample_id.encode(errors="replace").decode(), text.encode(errors="replace").decode(), fault
