"""`contamination`: pictures of benchmarks that are among those of preference pairs, and the runs trained on these."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from harness.errors import DataError, UsageError
from harness.evaluation.pictures import HOW, How, Picture, Shared, pictures_of, prints_of, shared_pictures
from harness.evaluation.resolve import data_dir as folder_of
from harness.evaluation.resolve import load, make_benchmark
from harness.protocols.benchmark import BENCHMARKS, Benchmark
from harness.protocols.external import ExternalBenchmark
from harness.protocols.progress import Progress, Watcher
from harness.store import AlignmentRecord, Store
from harness.util.likeness import Print
from harness.util.options import build
from leaderboards.trained_on import RECORD, entry
from workflows.bars import shown
from workflows.embedded import data_root, synthetic
from workflows.requests import DB, Names, several
from workflows.results import RecordsOf
from workflows.settings import check_settings, route

if TYPE_CHECKING:
    from aligners.pairs.data import PairSet
    from aligners.pairs.reading import Reading


@dataclass(frozen=True)
class BenchmarkPictures:
    """The pictures of one benchmark, and those of them that the pairs show.

    ``questions`` have a picture; ``absent`` of the ``pictures`` are not there, and known by their names alone.
    ``runs``: the aligned runs of the results file whose pairs show some, by how many; 0 where they show none.
    """

    benchmark: str
    folder: Path
    questions: int
    pictures: int
    absent: int
    shared: tuple[Shared, ...]
    runs: Mapping[str, int]

    @property
    def by(self) -> dict[How, int]:
        """How many pictures are shared by each of ``HOW``; one may be so by several."""
        counted = Counter(how for each in self.shared for how in each.how)
        return {how: counted[how] for how in HOW}

    @property
    def shared_questions(self) -> int:
        """How many questions ask about a shared picture."""
        return len({owner for each in self.shared for owner in each.picture.owners})

    @property
    def sharing_pairs(self) -> int:
        """How many pairs show a picture of the benchmark."""
        return len({pair for each in self.shared for pair in each.pairs})


@dataclass(frozen=True, repr=False)
class Contamination(RecordsOf[BenchmarkPictures]):
    """What pairs and benchmarks share. Its records are one a benchmark, with the shared pictures in ``matches``.

    ``pairs``, ``pictures``: how many pairs were compared, with how many pictures; ``left_out``: how many rows were not,
    by the reason. Their pictures may be the benchmarks' too.
    """

    source: str
    pairs: int
    pictures: int
    left_out: Mapping[str, int]
    benchmarks: tuple[BenchmarkPictures, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        about = {"source": self.source, "pairs": self.pairs, "pair_images": self.pictures}
        return [{**about, "left_out": dict(self.left_out), **_record(each)} for each in self.benchmarks]

    @property
    def _rows(self) -> Sequence[BenchmarkPictures]:
        return self.benchmarks

    def __repr__(self) -> str:
        return f"Contamination({self.source!r}, {len(self.benchmarks)} benchmarks)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.contamination_view import contamination_table

        return contamination_table(self.records)


def _record(each: BenchmarkPictures) -> dict[str, Any]:
    return {
        "benchmark": each.benchmark, "data_dir": str(each.folder), "questions": each.questions,
        "images": each.pictures, "absent": each.absent, "shared": len(each.shared),
        **{f"by_{how}": count for how, count in each.by.items()},
        "shared_questions": each.shared_questions, "sharing_pairs": each.sharing_pairs, "runs": dict(each.runs),
        "matches": [
            {"image": match.picture.shown, "samples": list(match.picture.owners), "pairs": list(match.pairs),
             "how": list(match.how), "distance": match.distance}
            for match in each.shared
        ],
    }  # fmt: skip


def contamination(
    pairs: str | Path,
    *,
    benchmark: Names = (),
    data_dir: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
    db: str | Path = DB,
    progress: bool | Watcher = True,
) -> Contamination:
    """Which pictures of benchmarks preference pairs show: by COCO's number, by the bytes, by how they look.

    The runs of ``db`` that were trained on these pairs are marked with what they share, for leaderboards; a results
    file that is not there is not made. Threads read every picture once; what is known of it is kept.

    Args:
        pairs: a file, directory or hub id, or several with commas between, as of `align`; rows that cannot be read, or
            whose image cannot, are left out and counted (``Contamination.left_out``).
        benchmark: one or several; () for all that have a folder in ``data_dir``.
        data_dir: the benchmark's own folder, or one that holds it; None: the embedded world, built if absent (minutes).
        settings: of how the pairs are read (``image_root``, ``columns``, ``where``...) and of the benchmarks.
        limit: only the first so many pairs.

    Raises UsageError for a wrong name or setting, DataError for data that cannot be read.
    """
    with shown(progress) as reported:
        if data_dir is None:  # before a world is built, which takes minutes
            _require_pairs(str(pairs), settings or {})
        root = data_root(data_dir, reported)
        names = list(several(benchmark)) or _those_in(root)
        reading, own = _dealt(names, settings or {})
        asked = [_Asked.of(name, root, own[name], reported) for name in names]
        read = _pairs(str(pairs), limit, reading, reported)
        trained = _Trained.of(read, reported)
        found = {each.name: each.shared_with(trained) for each in asked}
        marked = _mark_runs(db, str(pairs), read, asked, found, reported)
    left_out = {reason: each["rows"] for reason, each in read.report["dropped"].items()}
    return Contamination(
        str(pairs), len(read.pairs), len(trained.pictures), left_out,
        tuple(each.result(found[each.name], marked) for each in asked),
    )  # fmt: skip


def _those_in(root: Path) -> list[str]:
    """The benchmarks that have a folder of their own in ``root``."""
    names = [name for name in BENCHMARKS.names() if (root / name).is_dir()]
    if not names:
        raise UsageError(f"--data-dir {root}: no folder of a benchmark is in it; name the benchmark with --benchmark.")
    return names


def _dealt(names: list[str], settings: Mapping[str, Any]) -> tuple[Reading, dict[str, dict[str, Any]]]:
    """How the pairs are read, and the settings of every benchmark."""
    from aligners.pairs.reading import Reading

    check_settings(settings)
    kinds: dict[str, type[Benchmark]] = {name: BENCHMARKS.get(name) for name in names}
    if external := [name for name, kind in kinds.items() if issubclass(kind, ExternalBenchmark)]:
        raise UsageError(f"--benchmark {external[0]}: its questions are another package's and not known here.")
    dealt = route(settings, {"pairs": Reading, **kinds}, "contamination", everywhere=True)
    return build(Reading, dealt.pop("pairs"), "contamination"), dealt


def _require_pairs(source: str, settings: Mapping[str, Any]) -> None:
    """Raises DataError where there are no such files of pairs."""
    from aligners.pairs.sources import open_rows

    open_rows(source, str(settings.get("split", "")), str(settings.get("subset", "")))


def _pairs(source: str, limit: int | None, reading: Reading, progress: Progress) -> PairSet:
    from aligners.pairs.data import load_pairs

    return load_pairs(source, limit, skip_bad=True, reading=reading, progress=progress)


@dataclass(frozen=True)
class _Trained:
    """The pictures of pairs and what they are recognised by."""

    pictures: list[Picture]
    prints: list[Print]

    @classmethod
    def of(cls, read: PairSet, progress: Progress) -> _Trained:
        owners: dict[Any, list[str]] = {}
        for pair in read.pairs:
            for image in dict.fromkeys(pair.images):
                owners.setdefault(image, []).append(pair.id)
        pictures = [Picture(image, tuple(ids)) for image, ids in owners.items()]
        return cls(pictures, prints_of(pictures, "images of the pairs", progress))


@dataclass(frozen=True)
class _Asked:
    """The pictures of a benchmark and what they are recognised by."""

    name: str
    folder: Path
    pictures: list[Picture]
    prints: list[Print]

    @classmethod
    def of(cls, name: str, root: Path, settings: Mapping[str, Any], progress: Progress) -> _Asked:
        made = make_benchmark(name, settings)
        made.check()
        folder = folder_of(name, root)
        pictures = pictures_of(load(made, folder).samples)
        if not pictures:
            raise DataError(f"{folder}: no question of {name} has a picture; there is nothing to compare.")
        return cls(name, folder, pictures, prints_of(pictures, f"images of {name}", progress))

    def shared_with(self, trained: _Trained) -> list[Shared]:
        return shared_pictures(self.pictures, self.prints, trained.pictures, trained.prints)

    def entry(self, shared: list[Shared]) -> dict[str, Any]:
        """What a run's record says of this benchmark."""
        keys = [key for each in shared for key in each.picture.keys]
        return entry(keys, len(self.pictures), synthetic(self.folder).get("synthetic", ""))

    def result(self, shared: list[Shared], marked: Mapping[str, Mapping[str, int]]) -> BenchmarkPictures:
        owners = {owner for picture in self.pictures for owner in picture.owners}
        absent = sum(not each.digest for each in self.prints)
        runs = {run: counts[self.name] for run, counts in marked.items()}
        return BenchmarkPictures(
            self.name, self.folder, len(owners), len(self.pictures), absent, tuple(shared), runs
        )  # fmt: skip


def _mark_runs(
    db: str | Path, source: str, read: PairSet, asked: list[_Asked], found: Mapping[str, list[Shared]],
    progress: Progress,
) -> dict[str, dict[str, int]]:  # fmt: skip
    """Write what the runs trained on ``source`` share with the benchmarks into their records: counts by run.

    A run may have read it with other settings, or a part of it: then its own pairs are compared.
    """
    if not Path(db).exists():
        return {}
    store = Store(db)
    marked = {}
    for run in store.alignments():
        shared = found
        if (own := _pairs_of(run, source, read, progress)) is None:
            continue
        if own is not read:
            trained = _Trained.of(own, progress)
            shared = {each.name: each.shared_with(trained) for each in asked}
        said = {**run.info.get(RECORD, {}), **{each.name: each.entry(shared[each.name]) for each in asked}}
        store.note_alignment(run.name, {RECORD: said})
        marked[run.name] = {name: len(each) for name, each in shared.items()}
    return marked


def _pairs_of(run: AlignmentRecord, source: str, read: PairSet, progress: Progress) -> PairSet | None:
    """The pairs of ``source`` that ``run`` was trained on; None where it was on others, or they are not these now."""
    from aligners.pairs.reading import Reading
    from workflows.align import input_of

    trained = (run.info.get("data") or {}).get("read", {}).get("hash")
    if trained is None:
        return None
    if trained == read.report["read"]["hash"]:
        return read
    config = run.config
    if config.get("data") != input_of("train.data", source):
        return None
    own = _pairs(source, config.get("limit"), Reading.of(config), progress)
    if own.report["read"]["hash"] != trained:
        warnings.warn(f"{run.name} is not marked: {source} holds other pairs now than it was trained on.", stacklevel=2)
        return None
    return own
