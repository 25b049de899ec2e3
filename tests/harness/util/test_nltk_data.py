"""NLTK's data are read before they are called there: what is damaged is one message, and none of it a noun."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.common import taggers
from harness.errors import UsageError
from harness.util import nltk_data
from harness.util.fetching import Source
from tests.harness.util.test_download import Home, home  # noqa: F401  (the fixture)
from workflows.fetch import fetch_nlp

MODEL = "averaged_perceptron_tagger_eng"
EMPTY = {f"{MODEL}.weights.json": "{}", f"{MODEL}.tagdict.json": "{}", f"{MODEL}.classes.json": "[]"}
"""JSON files of the right names, by which no word has a tag."""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `fetch nlp` puts the data into, the only one that NLTK looks in."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    return tmp_path / "cache/data/nltk_data"


@pytest.mark.parametrize(
    "files", [{}, {f"{MODEL}.weights.json": "<html>not found</html>"}, EMPTY], ids=["none", "no JSON", "no tags"]
)
def test_a_damaged_tagger_is_one_message_that_names_it_and_the_command(files: dict[str, str], own: Path) -> None:
    folder = own / nltk_data.TAGGER
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    (own / nltk_data.WORDNET).mkdir(parents=True)
    taggers._nltk_named.cache_clear()
    with pytest.raises(UsageError, match=rf"{folder}: NLTK's data are damaged.*cli.py fetch nlp"):
        taggers.find_tagger("nltk")
    assert nltk_data.TAGGER in nltk_data.faults()


def test_what_was_fetched_and_reads_nothing_is_failed_and_removed(
    home: str,  # noqa: F811
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the archive is junk, or whole with junk in it; the next command fetches it again."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in EMPTY.items():
            archive.writestr(f"{MODEL}/{name}", text)
    Home.files = {"tagger.zip": packed.getvalue(), "punkt.zip": b"<html>not found</html>"}
    sources = [
        Source(s.path, f"{home}/{s.path}", "", "", s.unpack, s.gives) for s in nltk_data.SOURCES if s.path in Home.files
    ]
    monkeypatch.setattr(nltk_data, "SOURCES", sources)
    folder, states = fetch_nlp()
    assert folder == own
    found = {state.path: state for state in states}
    assert found["tagger.zip"].state == found["punkt.zip"].state == "failed"
    assert "damaged" in found["tagger.zip"].detail and "run the same command again" in found["tagger.zip"].detail
    assert "cannot be unpacked" in found["punkt.zip"].detail
    assert not nltk_data.has(nltk_data.TAGGER) and not (own / nltk_data.TAGGER).exists()
    fetch_nlp()
    assert [path for path, _ in Home.asked].count("/tagger.zip") == 2


def test_damaged_data_elsewhere_are_named_and_stay(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    theirs = tmp_path / "theirs"
    (theirs / nltk_data.TAGGER).mkdir(parents=True)
    monkeypatch.setattr(nltk.data, "path", [str(theirs)])
    monkeypatch.setattr(nltk_data, "SOURCES", [Source("tagger.zip", "x", gives=(nltk_data.TAGGER,))])
    (own / nltk_data.TAGGER).mkdir(parents=True)
    (own / nltk_data.TAGGER / "there").touch()
    _, (state, *_) = fetch_nlp()
    assert state.state == "failed" and str(theirs) in state.detail and "removed" not in state.detail
    assert (own / nltk_data.TAGGER / "there").exists() and (theirs / nltk_data.TAGGER).exists()


def test_where_no_place_holds_the_data_nltk_is_not_imported(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "one", tmp_path / "other"]
    monkeypatch.setattr(nltk_data, "nltk_places", lambda: [str(place) for place in places])
    monkeypatch.delitem(sys.modules, "nltk")
    assert not nltk_data.has(nltk_data.TAGGER) and "nltk" not in sys.modules
    for there in (f"{nltk_data.TAGGER}.zip", nltk_data.WORDNET, "tokenizers.zip"):
        (places[1] / there).parent.mkdir(parents=True, exist_ok=True)
        (places[1] / there).touch()
    assert all(map(nltk_data._may_be_found, (nltk_data.TAGGER, nltk_data.WORDNET, nltk_data.PUNKT)))
    assert "nltk" not in sys.modules


def test_its_places_are_those_that_nltk_looks_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLTK_DATA", os.pathsep.join(["~/mine", "", "/theirs"]))
    spec = importlib.util.find_spec("nltk.data")
    assert spec is not None and spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert nltk_data.nltk_places() == fresh.path
