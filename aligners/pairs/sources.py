"""Where preference pairs are read from: files, directories of them, folders of ``save_to_disk``, data sets of the hub.

A source with several splits gives one of them, ``train`` where none is named; data to train and to test on never come
together.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligners.pairs.rows import Place, Row
from aligners.pairs.tables import EXPECTED, TABLES, kind_of
from harness.errors import DataError
from harness.util.files import read_json, read_object

SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Words in the names of files and folders that say which split they hold, as the hub reads them."""
DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"}
"""Files that describe data and hold none."""
INFO = "dataset_info.json"
SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})")
"""The name of one file of several, as the hub's are called."""
SAVED = "a folder of datasets' save_to_disk"


@dataclass(frozen=True)
class Rows:
    """The rows of a source.

    Args:
        total: says about how many; 0 where that is not known before they are read.
        rows: (where it stands, its columns).
        identity: changes when the source does: its files with size and time, or the hub's fingerprint.
        notes: which split was taken, which columns another trainer's description names.
        columns: our names of columns by that description.
        scan: gives the rows once more, with the columns of these names at least.
    """

    total: Callable[[], int]
    rows: Iterator[tuple[Place, Row]]
    identity: Any
    notes: tuple[str, ...] = ()
    columns: Mapping[str, str] | None = None
    scan: Callable[[Collection[str]], Iterator[Row]] = lambda names: iter(())


def open_rows(source: str | Path, split: str = "", subset: str = "") -> Rows:
    """The rows of ``source``: a file, a directory, a hub id, or several of them with commas between.

    Raises DataError for what is none of these, or where ``split`` has to say which part is meant; for a file that
    cannot be read as its rows are taken.
    """
    parts = sources_of(source)
    if split and all(map(os.path.isfile, parts)):
        raise DataError(f"{source}: split={split} is of data with several; a file has none. Leave split out.")
    if subset and all(map(os.path.exists, parts)):
        raise DataError(f"{source}: subset={subset} is of a data set of the hub; files have none. Leave subset out.")
    opened = [_open(part, split, subset) for part in parts]
    if len(opened) == 1:
        return opened[0]
    if any(each.columns for each in opened):
        raise DataError(f"{source}: columns described by {INFO} are read of one file at a time. Use --columns.")
    return Rows(
        lambda: sum(each.total() for each in opened),
        itertools.chain.from_iterable(each.rows for each in opened),
        [each.identity for each in opened],
        tuple(dict.fromkeys(note for each in opened for note in each.notes)),
        scan=lambda names: itertools.chain.from_iterable(each.scan(names) for each in opened),
    )


def sources_of(source: str | Path) -> list[str]:
    """``source`` taken apart at its commas, unless it is one path."""
    if os.path.exists(source):
        return [str(source)]
    return [part.strip() for part in str(source).split(",") if part.strip()]


def _open(source: str, split: str, subset: str) -> Rows:
    path = Path(source)
    if os.path.isdir(path):  # unlike Path.is_dir it takes a name that is too long
        files, notes = _files_of(path, split)
        return _of_files(files, notes)
    if os.path.exists(path):
        if kind_of(path) not in TABLES:
            raise DataError(f"{path}: expected {EXPECTED}, a directory of them or a hub id.")
        return _of_files([path], (), *_described(path))
    if kind_of(path) in TABLES or source.count("/") != 1:
        raise DataError(f"{source}: there is no such file. Give {EXPECTED}, a directory of them or a hub id.")
    return of_hub(source, split, subset)


def _of_files(
    files: Sequence[Path], notes: tuple[str, ...], columns: Mapping[str, str] | None = None, note: str = ""
) -> Rows:
    tables = [TABLES[kind_of(file)] for file in files]
    identity = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    rows = itertools.chain.from_iterable(table.rows(file) for table, file in zip(tables, files, strict=True))
    return Rows(
        lambda: sum(table.count(file) for table, file in zip(tables, files, strict=True)),
        rows,
        identity,
        (*notes, *([note] if note else [])),
        columns,
        lambda names: itertools.chain.from_iterable(
            table.scan(file, names) for table, file in zip(tables, files, strict=True)
        ),
    )


def _described(file: Path) -> tuple[Mapping[str, str] | None, str]:
    """Our names of the columns of ``file`` by the LLaMA-Factory dataset_info.json beside it, and a note."""
    try:
        described = read_json(file.parent / INFO)
    except DataError:  # absent, or another tool's
        return None, ""
    entries = described.values() if isinstance(described, Mapping) else ()
    entry = next((e for e in entries if isinstance(e, Mapping) and e.get("file_name") == file.name), None)
    if entry is None or not isinstance(entry.get("columns"), Mapping):
        return None, ""
    ours = {"messages": "conversations", "prompt": "instruction", "query": "input"}
    if entry.get("formatting") == "sharegpt":
        ours |= {"prompt": "", "query": ""}
    names = {ours.get(name, name): str(theirs) for name, theirs in entry["columns"].items() if name in LLAMA_FACTORY}
    names.pop("", None)
    return names, f"columns by {INFO}: " + ", ".join(f"{a}={b}" for a, b in names.items())


LLAMA_FACTORY = {"messages", "prompt", "query", "history", "system", "images", "chosen", "rejected"}
LLAMA_FACTORY |= {"tools", "videos", "audios"}  # none is trained on, and rows that have one are refused


# -- directories ------------------------------------------------------------------------------------------------------


def _files_of(folder: Path, split: str) -> tuple[list[Path], tuple[str, ...]]:
    """The files of one split of ``folder``, and which it is where there are several."""
    if (folder / "dataset_dict.json").exists():  # a DatasetDict's save_to_disk
        splits = read_object(folder / "dataset_dict.json", SAVED).get("splits")
        if not isinstance(splits, list) or not splits or not all(isinstance(name, str) for name in splits):
            raise DataError(f"{folder / 'dataset_dict.json'}: expected {SAVED} with the names of its splits.")
        chosen, notes = choose_split(str(folder), splits, split)
        return _arrow_files(folder / chosen), notes
    if (folder / "state.json").exists():  # a Dataset's
        return _arrow_files(folder), ()
    tables = (f for f in sorted(folder.rglob("*")) if kind_of(f) in TABLES and f.name not in DESCRIPTIONS)
    files = [f for f in tables if f.is_file()]
    files = [f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts)]
    if not files:
        raise DataError(f"{folder}: expected {EXPECTED} in this directory.")
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(_split_of(file.relative_to(folder)), []).append(file)
    if by_split.keys() == {""}:
        if split:
            raise DataError(f"{folder}: no file's name says that it is of the split {split!r}.")
        return _of_one_kind(folder, files), ()
    other = by_split.pop("", [])
    chosen, notes = choose_split(str(folder), list(by_split), split)
    if other:
        notes = (*notes, f"not read, since others name their split: {', '.join(file.name for file in other[:5])}")
    return _of_one_kind(folder, by_split[chosen]), notes


def _split_of(file: Path) -> str:
    """The split that the name of a file, else of a folder it is in, says: train-00000-of-00002.parquet is of train."""
    for part in (file.stem, *reversed(file.parts[:-1])):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in SPLITS:
                return SPLITS[word]
    return ""


def _of_one_kind(folder: Path, files: list[Path]) -> list[Path]:
    """``files``, which must not be the same data in two forms."""
    kinds = sorted({kind_of(file) for file in files})
    if len(kinds) > 1:
        raise DataError(f"{folder}: holds {' and '.join(kinds)} files: which are the pairs? Give the files' own paths.")
    numbered = (SHARD.match(str(file)) for file in files)
    for (stem, total), count in Counter(found.groups() for found in numbered if found).items():
        if count < int(total):
            raise DataError(
                f"{stem}: {count} of {int(total)} files are there, by their names: get the others, or give the files' "
                "own paths to read these alone."
            )
    return files


def _arrow_files(folder: Path) -> list[Path]:
    """The files of a ``save_to_disk`` folder in their order."""
    state = folder / "state.json"
    listed = read_object(state, SAVED).get("_data_files")
    names = [each.get("filename") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    files = [folder / name for name in names if isinstance(name, str) and kind_of(folder / name) in TABLES]
    if not files or len(files) != len(listed or ()):
        raise DataError(f"{state}: expected {SAVED} with the names of its files, found {listed!r:.80}.")
    if missing := [file.name for file in files if not file.is_file()]:
        raise DataError(f"{state}: names {', '.join(missing[:3])}, which is not beside it.")
    return files


def choose_split(name: str, splits: Sequence[str], wanted: str) -> tuple[str, tuple[str, ...]]:
    """The split to train on, and a note where there are others. Raises DataError where it has to be named."""
    if wanted:
        if wanted not in splits:
            raise DataError(f"{name}: there is no split {wanted!r}; its splits: {', '.join(splits)}.")
        chosen = wanted
    elif len(splits) == 1:
        chosen = splits[0]
        if chosen == "train":
            return chosen, ()
        if chosen == "test":
            raise DataError(f"{name}: its only split is {chosen}: set split={chosen} if you mean to train on it.")
    elif "train" in splits:
        chosen = "train"
    else:
        raise DataError(f"{name}: its splits are {', '.join(splits)}: set split= to one of them.")
    others = [each for each in splits if each != chosen]
    return chosen, (f"split {chosen}" + (f" (not {', '.join(others)})" if others else ""),)


# -- the hub ----------------------------------------------------------------------------------------------------------


def of_hub(name: str, split: str, subset: str) -> Rows:
    """The rows of a split of a data set by the hub's reader, its images as they are encoded. Raises DataError."""
    import datasets

    try:
        splits = datasets.get_dataset_split_names(name, subset or None)
    except Exception as error:  # the hub client raises its transport's own errors
        raise _not_given(name, error) from error
    chosen, notes = choose_split(name, splits, split)
    try:
        table = datasets.load_dataset(name, subset or None, split=chosen)
    except Exception as error:
        raise _not_given(name, error) from error
    for column, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
        elif isinstance(getattr(feature, "feature", None), datasets.Image):
            table = table.cast_column(column, datasets.List(datasets.Image(decode=False)))
    rows = ((Place(f"{name}, row {n}", Path(), str(n)), row) for n, row in enumerate(table))

    def scan(names: Collection[str]) -> Iterator[Row]:
        there = [name for name in table.column_names if name in names]
        return iter(table.select_columns(there) if there else [dict.fromkeys(table.column_names)] * len(table))

    return Rows(lambda: len(table), rows, table._fingerprint, notes, scan=scan)


def _not_given(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name}: no such file, and the hub did not give such a data set ({type(error).__name__}: {error}). A data set "
        "of several subsets needs subset=NAME."
    )
