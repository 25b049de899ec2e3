"""What a figure was made from, what it cost, and the command that makes it again."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from yaml import YAMLError

from harness.errors import UsageError
from harness.evaluation.fingerprint import fingerprint
from harness.models.settings import LoadSettings
from harness.protocols.external import ExternalBenchmark
from harness.store import AlignmentRecord, EvaluationRecord
from harness.util.options import parse_assignments
from leaderboards.condition import Condition, condition_of
from leaderboards.declared import benchmark_title, declared, metric_name
from leaderboards.run_groups import training_times
from leaderboards.snapshot import Snapshot
from leaderboards.text import panel_title


def condition_key(condition: Condition) -> str:
    """A short name of a condition, the same in every page."""
    return hashlib.sha256(repr(condition).encode()).hexdigest()[:12]


def provenance(
    evaluations: Sequence[EvaluationRecord],
    base: Callable[[EvaluationRecord], Mapping[str, Any] | None] = lambda evaluation: None,
) -> list[dict[str, Any]]:
    """What each evaluation's figures were made from, one row for those that share everything.

    ``base``: what the base model has by the evaluator of an evaluation (``leaderboards.evaluators.base_value``).
    """
    rows: dict[tuple[str, ...], list[EvaluationRecord]] = {}
    for e in evaluations:
        c = condition_of(e)
        key = (
            benchmark_title(e.benchmark),
            e.version,
            e.mode,
            e.judge,
            e.data_key,
            _words(c.decoding),
            str(e.info.get("route", "")),
            software_text(e.info),
            fingerprint(e).key,
            str((e.run if e.info.get("named") else "", c.asked)),  # a command names one, and has one set of them
        )
        rows.setdefault(key, []).append(e)
    names = ("benchmark", "version", "rules", "judge", "data", "decoding", "route", "software", "evaluator")
    return [
        {
            **dict(zip(names, key[:-1], strict=True)),
            "runs": [e.run for e in group],
            "evaluated_by": [f"{name} {text}" for name, text in fingerprint(group[0]).words.items()],
            "base": base_text(group[0].benchmark, base(group[0])),
            "notes": notes_of(group),
            "command": bench_command(group),
        }
        for key, group in rows.items()
    ]


def base_text(benchmark: str, base: Mapping[str, Any] | None) -> str:
    """What the base model has, in words; "" where that is not known."""
    if base is None or base["value"] is None:
        return ""
    return f"base {metric_name(benchmark, base['metric'])} {base['value']:.2f}"


def notes_of(evaluations: Sequence[EvaluationRecord]) -> list[str]:
    """What is to be known of how answers and replies came about, each with the runs that it is true of."""
    runs: dict[str, list[str]] = {}
    for e in evaluations:
        for text in e.info.get("notes", []):
            runs.setdefault(text, []).append(e.run)
    return [f"{text} ({', '.join(names)})" for text, names in runs.items()]


def software_text(info: Mapping[str, Any]) -> str:
    """The commit and versions that a stored result was made with."""
    made = info.get("software")
    if not made:
        return "not recorded"
    versions = [f"{name} {number}" for name, number in made.items() if name not in ("commit", "dama-harness")]
    return ", ".join([f"commit {made['commit']}" if made.get("commit") else "no commit", *versions])


def _words(decoding: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{k}={v}" for k, v in decoding)


def command_of(alignment: AlignmentRecord) -> str:
    """The command that repeats an alignment."""
    words = ["python", "cli.py", "align", "--name", alignment.name]
    settings = {"panel": alignment.panel} if alignment.panel else {}
    settings |= {"label": alignment.method} if alignment.method != alignment.config.get("method") else {}
    for name, value in alignment.config.items():
        if name in ("method", "model", "data", "seed"):
            words += [f"--{name}", str(value)]
        elif name == "prompt":  # settings of the model, known by that name to the command
            chosen = {k: v for k, v in value.items() if v != getattr(LoadSettings(), k, None)}
            settings |= {f"model.{k}": v for k, v in chosen.items()}
        elif isinstance(value, Mapping):
            settings |= {k: v for k, v in value.items() if v not in (None, "")}
        elif value is not None and name not in ("device", "name", "panel", "label"):
            settings[name] = value
    return shlex.join([*words, *set_words(settings)])


def alignment_commands(alignments: Sequence[AlignmentRecord]) -> list[dict[str, Any]]:
    """The commands that repeat ``alignments``, in their order, with what made them; of those that differ in nothing but
    name and seed the first, with what the others have instead (``again``).
    """
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for alignment in alignments:
        plain = command_of(replace(alignment, name="", seed=0, config={**alignment.config, "seed": 0}))
        made = software_text(alignment.info)
        entry = kept.setdefault((made, plain), {"made": made, "command": command_of(alignment), "again": []})
        if entry["command"] != command_of(alignment):
            entry["again"].append(shlex.join(["--name", alignment.name, "--seed", str(alignment.seed)]))
    return list(kept.values())


def bench_command(evaluations: Sequence[EvaluationRecord]) -> str:
    """The command that repeats evaluations of one benchmark under one set of settings."""
    first = evaluations[0]
    words = ["python", "cli.py", "bench", "--benchmark", first.benchmark]
    words += [word for model in dict.fromkeys(e.model for e in evaluations) for word in ("--model", model)]
    words += ["--name", first.run] if first.info.get("named") else []
    words += ["--data-dir", first.data_dir, "--limit", str(first.n)]
    judging = first.info.get("judging")
    if judging:
        kind, endpoint = judging["asked"].partition(":")[0], judging["endpoint"]
        whole = {"openai": f"{judging['asked']}@{endpoint}", "replay": f"replay:{endpoint}"} if endpoint else {}
        words += ["--judge", whole.get(kind, judging["asked"])]
    settings = {f"model.{name}": value for name, value in first.info.get("loading", {}).items()}
    if judging and judging.get("variant"):
        settings["judge.extra_body"] = json.loads(judging["variant"])
    settings |= {"scoring.reasoning": "keep"} if first.version.endswith(" reasoning=keep") else {}
    if not issubclass(declared(first.benchmark), ExternalBenchmark):  # whose settings are its own engine's
        settings |= {**first.settings, "decoding": first.decoding}
    return shlex.join([*words, *set_words(settings)])


def set_words(settings: Mapping[str, Any]) -> list[str]:
    """``--set`` words that are read back as these very values."""
    words = []
    for name, value in settings.items():
        words += ["--set", f"{name}={value if _reads_back(value) else json.dumps(value)}"]
    return words


def _reads_back(value: Any) -> bool:
    """Whether ``--set`` reads ``value`` as it is printed."""
    try:
        return not isinstance(value, Mapping) and parse_assignments([f"x={value}"]) == {"x": value}
    except (UsageError, YAMLError):
        return False


def cost_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Of every run: seconds of training (``training_times``); answers, tokens and seconds of generation (all
    its benchmarks)."""
    spent, aligned = snapshot.generation_totals, snapshot.groups.alignments
    keys = {e.run: e.model_key for e in snapshot.current}
    times = training_times([aligned[run] for run in keys if run in aligned])
    rows = []
    for run, key in keys.items():
        answers, tokens, generating = spent.get(key, (0, 0, 0.0))
        alignment = aligned.get(run)
        rows.append(
            {
                "run": run,
                "panel": panel_title(alignment.panel) if alignment else "",
                "training": times[alignment.name] if alignment else 0.0,
                "answers": answers,
                "tokens": tokens,
                "generating": generating,
                "rate": tokens / generating if generating else 0.0,
            }
        )
    return rows
