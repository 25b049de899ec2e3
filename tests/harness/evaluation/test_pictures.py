"""Which of a benchmark's pictures are among those of preference pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evaluation import pictures
from harness.evaluation.pictures import Picture, key_in_results, pictures_of, prints_of, shared_pictures
from harness.protocols.benchmark import Sample
from harness.protocols.conversation import Image
from harness.util.likeness import Print, print_of
from tests.harness.util.test_likeness import encoded, picture


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))


def files(folder: Path, **content: bytes | None) -> list[Picture]:
    """A picture for each name; None for a file that is not there."""
    folder.mkdir(exist_ok=True)
    made = []
    for name, data in content.items():
        path = folder / f"{name.removeprefix('_')}.jpg"
        if data is not None:
            path.write_bytes(data)
        made.append(Picture(Image(path=path), (name,)))
    return made


def shared(asked: list[Picture], trained: list[Picture]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By the name of a shared picture what it is the same by, and the pairs that show it."""
    found = shared_pictures(asked, prints_of(asked, "a"), trained, prints_of(trained, "b"))
    return {each.picture.owners[0]: (each.how, each.pairs) for each in found}


def test_each_way_of_being_the_same_is_named(tmp_path: Path) -> None:
    one, two, three, four = (picture(seed) for seed in range(4))
    asked = files(
        tmp_path / "asked",
        COCO_val2014_000000000042=encoded(one), same=encoded(two), smaller=encoded(three), other=encoded(four),
    )  # fmt: skip
    trained = files(
        tmp_path / "trained",
        _000000000042=encoded(picture(9)), a=encoded(two), b=encoded(three.resize((80, 60)), "JPEG"),
        c=encoded(picture(8)),
    )  # fmt: skip
    assert shared(asked, trained) == {
        "COCO_val2014_000000000042": (("coco",), ("_000000000042",)),
        "same": (("file", "look"), ("a",)),
        "smaller": (("look",), ("b",)),
    }


def test_another_name_counts_only_where_one_of_the_two_cannot_be_read(tmp_path: Path) -> None:
    """1000092795 is another picture in the pairs; 2000092795 is not there; no one takes "1.jpg" for a name."""
    asked = files(tmp_path / "asked", _1000092795=encoded(picture(1)), _2000092795=None, _1=None)
    trained = files(
        tmp_path / "trained", _1000092795=encoded(picture(2)), _2000092795=encoded(picture(3)), _1=encoded(picture(4))
    )
    assert shared(asked, trained) == {"_2000092795": (("name",), ("_2000092795",))}


def test_coco_s_numbers_need_no_picture(tmp_path: Path) -> None:
    asked, trained = files(tmp_path / "a", COCO_val2014_000000000007=None), files(tmp_path / "b", _000000000007=None)
    assert shared(asked, trained) == {"COCO_val2014_000000000007": (("coco",), ("_000000000007",))}


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def counted(data: bytes) -> Print:
        read.append(data)
        return print_of(data)

    monkeypatch.setattr(pictures, "print_of", counted)
    asked = files(tmp_path / "a", one=encoded(picture(1)), two=encoded(picture(2)))
    first = prints_of(asked, "a")
    again = prints_of(asked, "a")
    assert len(read) == 2 and [each.digest for each in first] == [each.digest for each in again]
    assert [None if each.look is None else each.look.tolist() for each in first] == [
        None if each.look is None else each.look.tolist() for each in again
    ]
    files(tmp_path / "a", two=encoded(picture(3), "JPEG"))
    assert prints_of(asked, "a")[1].digest != first[1].digest and len(read) == 3


def test_a_picture_is_counted_once_with_all_its_questions() -> None:
    image, other = Image(path=Path("x/1.jpg")), Image(data=b"bytes")
    samples = [Sample("a", "?", image, group="g"), Sample("b", "?", image, group="g"), Sample("c", "?", other)]
    samples += [Sample("d", "?", None), Sample("e", "?", Image())]
    found = pictures_of(samples)
    assert [(p.owners, p.keys) for p in found] == [(("a", "b"), ("g/1.jpg",)), (("c",), ("c/",))]
    assert key_in_results("g", "elsewhere/1.jpg") == "g/1.jpg"
