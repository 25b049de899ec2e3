"""Which objects answers mention, and which of them are hallucinated."""

from __future__ import annotations

from harness.store.file import ResultsFile
from harness.store.views import QUERIES

Objects = dict[str, tuple[int, int]]
"""By object how often an answer mentions it, and how many of these mentions are hallucinated."""


class Mentions(ResultsFile):
    """What the view mentions shows."""

    def mentions(self, evaluation: int) -> dict[tuple[str, int], Objects]:
        """By sample id and judge run the objects of every scored answer that was looked through for objects.

        Empty for a benchmark that looks for none.
        """
        looked_through = """SELECT sample_id, judge_run FROM verdict WHERE evaluation = ? AND error IS NULL
            AND json_type(CASE WHEN json_valid(details) THEN details END, '$.mentions') = 'array'"""
        found: dict[tuple[str, int], Objects] = {
            (sample, run): {} for sample, run in self.db.execute(looked_through, [evaluation])
        }
        counted = f"""SELECT sample, judge_run, object, count(*), sum(hallucinated) FROM ({QUERIES["mentions"]})
            WHERE evaluation = ? GROUP BY sample, judge_run, object"""
        for sample, run, name, mentioned, hallucinated in self.db.execute(counted, [evaluation]):
            if (sample, run) in found:  # what is no array holds no mentions, and yet one value
                found[sample, run][name] = (mentioned, hallucinated)
        return found
