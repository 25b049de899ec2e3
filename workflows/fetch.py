"""`fetch`: a benchmark's data from its official home, into the cache or a directory of one's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import BENCHMARKS
from harness.protocols.progress import Progress, silent
from harness.util import nltk_data, spacy_models
from harness.util.fetching import AnySource, Fetched, Source, fetch
from harness.util.paths import cache_dir
from workflows.doctor import OPTIONAL

NLP = "nlp"
"""Names no benchmark, but the data of the taggers that benchmarks share."""


def sources_of(name: str) -> Sequence[AnySource]:
    """The files that the benchmark ``name`` declares (``Benchmark.sources``)."""
    sources = BENCHMARKS.get(name).sources
    if not sources:
        raise UsageError(f"fetch {name}: this benchmark names no files of its own; see its documentation.")
    return sources


def named(names: Sequence[str]) -> list[str]:
    """The benchmarks that ``names`` (benchmarks and suites) stand for, each once. Raises UsageError for other names."""
    from workflows.suites import suites

    known = suites()
    members = [member for name in names for member in known.get(name, (name,))]
    for name in members:
        if name != NLP and name not in BENCHMARKS.names():
            raise unknown_name("benchmark or suite", name, {NLP, *BENCHMARKS.names(), *known})
    return list(dict.fromkeys(members))


def fetch_nlp(*, progress: Progress = silent) -> tuple[Path, list[Fetched]]:
    """What taggers need: NLTK's data, to where they are looked for; spaCy's models are named with their command.

    Nothing is called there that does not read a word: damaged data that were fetched are removed.
    """
    folder = cache_dir("data") / nltk_data.FOLDER
    states = fetch(nltk_data.SOURCES, folder, progress=progress)
    faults = nltk_data.faults()
    checked = [_read(source, state, faults) for source, state in zip(nltk_data.SOURCES, states, strict=True)]
    return folder, [*checked, *map(_of_spacy, ("spacy", spacy_models.PARSING, spacy_models.VECTORS))]


def _read(source: Source, state: Fetched, faults: Mapping[str, str]) -> Fetched:
    """``state``, or what is wrong with the part of NLTK's data that ``source`` gives."""
    resource = next((each for each in faults if source.gives[0].startswith(each)), None)
    if resource is None:
        return state
    removed = " They are removed: run the same command again." if nltk_data.remove(resource) else ""
    return Fetched(source.path, "failed", faults[resource] + removed)


def _of_spacy(module: str) -> Fetched:
    """What is there of spaCy or a model of it; it is not fetched."""
    use, command = OPTIONAL[module]
    if importlib.util.find_spec(module) is None:
        return Fetched(module, "by hand", f"{use}: {command}")
    fault = spacy_models.problem(module) if module in spacy_models.MODELS else None
    return Fetched(module, "failed", f"{fault}: {command}") if fault else Fetched(module, "there")


def fetch_benchmark(
    name: str, data_dir: Path | None, *, any_version: bool = False, progress: Progress = silent
) -> tuple[Path, list[Fetched]]:
    """Download the files of a benchmark to ``data_dir``/NAME (default: the cache); files already there are checked.

    Returns the folder and what became of every file.
    """
    sources = sources_of(name)
    folder = (data_dir or cache_dir("data")) / name
    return folder, fetch(sources, folder, any_version=any_version, progress=progress)


def row(file: Fetched) -> dict[str, Any]:
    return {"file": file.path, "state": file.state, "detail": file.detail}
