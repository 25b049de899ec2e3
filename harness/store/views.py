"""The SQL views of the results file, for `sqlite3` alone: a row an answer, a mentioned object, a judgement, a score.

docs/store.md says what every column is. A file's own table or view of the same name stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

ABOUT = """e.id AS evaluation, e.run, coalesce(a.method, e.run) AS method, a.seed, a.panel, e.benchmark, e.judge,
    json_extract(e.decoding, '$.eos_bias') AS eos_bias, coalesce(e.id < a.number, 0) AS outdated"""
"""Columns that say what a row is of: in all views."""
ALIGNED = "LEFT JOIN alignment a ON a.name = e.alignment"
DETAILS = "CASE WHEN json_valid(v.details) THEN v.details END"
"""Details of another package's verdicts may hold what JSON does not have (NaN): nothing is read off them then."""

QUERIES: Mapping[str, str] = {
    "answers": f"""
        SELECT {ABOUT}, v.sample_id AS sample, s.prompt AS question, s.image, v.answer, v.error
        FROM verdict v JOIN evaluation e ON e.id = v.evaluation {ALIGNED}
        LEFT JOIN sample s ON s.data_key = e.data_key AND s.sample_id = v.sample_id
        WHERE v.judge_run = 0""",
    # Of a word that is mentioned twice and hallucinated once, one row is: so that the sums are the verdict's.
    "mentions": f"""
        SELECT {ABOUT}, v.sample_id AS sample, v.judge_run, m.value AS word,
            coalesce((SELECT c.value FROM json_each({DETAILS}, '$.classes') c WHERE c.key = m.value), m.value)
                AS object,
            (SELECT count(*) FROM json_each({DETAILS}, '$.hallucinated') h WHERE h.value = m.value)
            >= (SELECT count(*) FROM json_each({DETAILS}, '$.mentions') b WHERE b.value = m.value AND b.key <= m.key)
                AS hallucinated
        FROM verdict v JOIN evaluation e ON e.id = v.evaluation {ALIGNED}
        JOIN json_each({DETAILS}, '$.mentions') m
        WHERE m.type = 'text' AND v.error IS NULL""",
    "judgements": f"""
        SELECT {ABOUT}, v.sample_id AS sample, v.judge_run, json_extract(k.value, '$.attempt') AS attempt,
            json_extract(k.value, '$.prompt') AS prompt, r.model AS judge_returned,
            coalesce(r.text, json_extract(r.usage, '$.reply')) AS reply,
            r.error, json_extract(k.value, '$.reply') AS reply_key
        FROM verdict v JOIN evaluation e ON e.id = v.evaluation {ALIGNED}
        JOIN json_each(v.replies) k
        LEFT JOIN reply r ON r.judge = json_extract(e.info, '$.judging.asked')
            AND r.endpoint = json_extract(e.info, '$.judging.endpoint')
            AND r.question_key = json_extract(k.value, '$.prompt')
            AND r.judge_run = v.judge_run AND r.attempt = json_extract(k.value, '$.attempt')""",
    "scores": f"""
        SELECT {ABOUT}, e.version, e.n, e.n_scored, m.key AS metric, json_extract(m.value, '$.value') AS value,
            json_extract(m.value, '$.low') AS low, json_extract(m.value, '$.high') AS high,
            json_extract(m.value, '$.unit') AS unit,
            json_extract(m.value, '$.higher_is_better') AS higher_is_better
        FROM evaluation e {ALIGNED} JOIN json_each(e.metrics) m""",
}
"""What each view shows. What reads them here reads these: under a view's name may stand something of the user's."""
VIEWS: Mapping[str, str] = {name: f"CREATE VIEW IF NOT EXISTS {name} AS {query}" for name, query in QUERIES.items()}
"""The statements that make them."""
