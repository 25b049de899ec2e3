"""Samples, the models' answers to them, the judges' replies about those: the caches that nothing is asked twice for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.protocols.benchmark import Sample
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store.cells import read_row
from harness.store.file import ResultsFile, dump, now
from harness.store.places import read_path, stored_path
from harness.store.records import Row

SAVE_ANSWER = """
INSERT INTO generation (model_key, question_key, text, error, tokens, seconds, created, details)
VALUES (?,?,?,?,?,?,?,?)
ON CONFLICT (model_key, question_key) DO UPDATE SET
    text = excluded.text, error = excluded.error, tokens = excluded.tokens,
    seconds = excluded.seconds, created = excluded.created, details = excluded.details
WHERE excluded.text IS NOT NULL OR generation.text IS NULL"""
# Of a reply that was refused for its model the text stands in its usage: paid for, and of use once that is allowed.
SAVE_REPLY = """
INSERT INTO reply (judge, endpoint, question_key, judge_run, attempt, text, model, error, usage, created)
VALUES (?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (judge, endpoint, question_key, judge_run, attempt) DO UPDATE SET
    text = excluded.text, model = excluded.model, error = excluded.error,
    usage = excluded.usage, created = excluded.created
WHERE excluded.text IS NOT NULL
    OR reply.text IS NULL AND (instr(excluded.usage, '"reply": "') OR NOT instr(reply.usage, '"reply": "'))"""


class Answers(ResultsFile):
    """The tables sample, generation, asked and reply."""

    def save_samples(self, data_key: str, samples: Sequence[Sample]) -> None:
        """Remember a benchmark's samples, so that results can be read without the data directory."""
        rows = [
            (
                data_key,
                s.id,
                i,
                s.prompt,
                self._image_path(s),
                s.group,
                dump(s.data),
            )
            for i, s in enumerate(samples)
        ]
        self.write("INSERT OR IGNORE INTO sample VALUES (?,?,?,?,?,?,?)", rows)

    def samples(self, data_key: str) -> list[Row]:
        """The samples of a data set, in its order: sample_id, prompt, image (path), grp, data."""
        rows = list(self.read("sample", "SELECT * FROM sample WHERE data_key = ? ORDER BY position", [data_key]))
        images = {row["image"]: read_path(row["image"], self.path) for row in rows if row["image"]}
        return [{**row, "image": images.get(row["image"])} for row in rows]

    def _image_path(self, sample: Sample) -> str | None:
        """The file of a sample's image, if it is one, as it is stored."""
        path = sample.image.path if sample.image else None
        return stored_path(str(path.absolute()), self.path) if path else None

    def save_answers(self, model_key: str, answers: Iterable[tuple[str, Answer]]) -> None:
        """Store answers by the key of what was asked. A failed one is stored with its reason and asked again later; it
        takes the place of no text that is stored."""
        rows = [(model_key, key, a.text, a.error, a.tokens, a.seconds, now(), _details(a)) for key, a in answers]
        self.write(SAVE_ANSWER, rows)

    def save_model(self, model: str, settings: Mapping[str, Any], model_key: str) -> None:
        """Remember the key of a model that is about to be asked, by its name and the settings that it was loaded with.

        So what is stored of it can be found without loading it.
        """
        row = (model, dump(dict(sorted(settings.items()))), model_key, now())
        self.write("INSERT OR REPLACE INTO asked VALUES (?,?,?,?)", [row])

    def model_key(self, model: str, settings: Mapping[str, Any]) -> tuple[str, str] | None:
        """The key that ``save_model`` kept, and when (ISO time); None if there is none."""
        query = "SELECT model_key, created FROM asked WHERE model = ? AND settings = ?"
        row = self.db.execute(query, [model, dump(dict(sorted(settings.items())))]).fetchone()
        return (row[0], row[1]) if row else None

    def answers(self, model_key: str, question_keys: Iterable[str]) -> dict[str, Answer]:
        """Stored answers among ``question_keys``."""
        wanted = set(question_keys)
        rows = self.db.query("SELECT * FROM generation WHERE model_key = ?", [model_key])
        read = (read_row(self.path, "generation", row) for row in rows if row["question_key"] in wanted)
        return {row["question_key"]: _answer(row) for row in read}

    def generation_totals(self) -> dict[str, tuple[int, int, float]]:
        """By model key: stored answers, their tokens, and the seconds they took."""
        query = "SELECT model_key, count(text), total(tokens), total(seconds) FROM generation GROUP BY model_key"
        return {row[0]: (row[1], int(row[2]), row[3]) for row in self.db.execute(query)}

    def save_reply(self, judge: str, endpoint: str, question_key: str, run: int, attempt: int, reply: Reply) -> None:
        """Store one reply at once: it may have been paid for. A failure takes the place of no text that is stored."""
        key = (judge, endpoint, question_key, run, attempt)
        said = (reply.text, reply.model, reply.error, dump(reply.usage), now())
        self.write(SAVE_REPLY, [(*key, *said)])

    def reply(self, judge: str, endpoint: str, question_key: str, run: int, attempt: int) -> Reply | None:
        """The stored reply under that key, None if there is none."""
        which = "judge = ? AND endpoint = ? AND question_key = ? AND judge_run = ? AND attempt = ?"
        key = [judge, endpoint, question_key, run, attempt]
        row = next(self.read("reply", f"SELECT * FROM reply WHERE {which}", key), None)
        return _reply(row) if row else None

    def replies(self, judge: str, endpoint: str) -> dict[tuple[str, int, int], Reply]:
        """Stored replies of a judge by (question key, run, attempt)."""
        rows = self.read("reply", "SELECT * FROM reply WHERE judge = ? AND endpoint = ?", [judge, endpoint])
        return {(row["question_key"], row["judge_run"], row["attempt"]): _reply(row) for row in rows}


def _details(answer: Answer) -> str | None:
    """What few answers have, as JSON; None for the others."""
    values = {"cut": answer.cut, "reasoning": answer.reasoning, "adapted": answer.adapted}
    given = {name: value for name, value in values.items() if value}
    return dump(given) if given else None


def _answer(row: Row) -> Answer:
    details = row["details"] or {}
    return Answer(
        row["text"], row["error"], row["tokens"], row["seconds"],
        cut=bool(details.get("cut")), reasoning=details.get("reasoning", ""), adapted=tuple(details.get("adapted", ())),
    )  # fmt: skip


def _reply(row: Row) -> Reply:
    return Reply(row["text"], row["model"], row["error"], row["usage"])
