"""Every pin of an official file against the blob id that git records for it at the commit its URL names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.protocols.benchmark import BENCHMARKS
from harness.util import digests
from harness.util.fetching import Source
from tests.shared import shared

BLOBS = {
    # file in the reference data: (pinned source, blob id at its home's commit, line ends there)
    "pope/coco_pope_adversarial.json": ("pope", "65ccf25e16370b4145ba507be45fa085c0763490", b"\r\n"),
    "pope/coco_pope_popular.json": ("pope", "97ebfd7a3cd5d43ec0f1d604635a1fe96b3c936a", b"\r\n"),
    "pope/coco_pope_random.json": ("pope", "a8dd9bbc2fb4c424d9902b89612128801b104ac2", b"\r\n"),
    "repope/coco_repope_adversarial.json": ("pope", "4ab3acbd36f5c4025c752609908e7262bff410c6", b"\n"),
    "repope/coco_repope_popular.json": ("pope", "e359d9ce2edefe00d706065f115823714e66bb79", b"\n"),
    "repope/coco_repope_random.json": ("pope", "708e33eb98ea0f2a5c54e8bcd53bd963f29b8bd7", b"\n"),
    "amber/annotations.json": ("amber", "47e6642eb38defe5c3c68abaee08d6ab3214ca7b", b"\n"),
    "amber/query_all.json": ("amber", "fb2768b3a73c3dfa65ac043c1e9e35d4399ab53d", b"\n"),
    "amber/relation.json": ("amber", "f2702c8f10e9d456f821834e431ab43e9e426fb5", b"\n"),
    "amber/safe_words.txt": ("amber", "0a4cddfaf70c505341e9047cf1a61d794737e854", b"\n"),
    "object_halbench/synonyms_refine.txt": ("object_halbench", "87b25aa23b342364e017e84714ff76cec1b069f4", b"\n"),
    "mmhal_bench/mmhal-bench_answer_template.json": ("mmhal", "68a8120b95876f3d5b8b06898ecff900814a014a", b"\n"),
    "llava_bench/rule.json": ("llava_bench", "26c7f4e0819bf0bafbace898f5f5a4f052490aa4", b"\n"),
    "hallusion_bench/HallusionBench.json": ("hallusion_bench", "a19eb17b6225c5fb6db0a0843fa460fa808319cf", b"\n"),
}


def pinned(benchmark: str, name: str) -> str:
    sources = BENCHMARKS.get(benchmark).sources
    (pin,) = [s.digest for s in sources if isinstance(s, Source) and Path(s.path).name == name]
    return pin


@pytest.mark.needs("reference")
@pytest.mark.parametrize("file", BLOBS)
def test_a_pin_fits_the_file_as_its_home_has_it_and_with_other_line_ends(file: str, tmp_path: Path) -> None:
    benchmark, blob, ends = BLOBS[file]
    content = shared(f"data/{file}").read_bytes()
    if ends == b"\r\n":
        content = content.replace(b"\r\n", b"\n").replace(b"\n", ends)
    at_home = tmp_path / "home"
    at_home.write_bytes(content)
    assert digests.git_blob(at_home) == blob
    other = tmp_path / "other"
    other.write_bytes(content.replace(b"\r\n", b"\n"))
    pin = pinned(benchmark, Path(file).name)
    assert pin
    assert digests.fits(at_home, pin)
    assert digests.fits(other, pin)
    other.write_bytes(content[:-2] + b"?" + content[-1:])
    assert not digests.fits(other, pin)


def test_every_source_at_a_commit_is_pinned() -> None:
    """A file of a named commit cannot change: its pin says which bytes it has."""
    for name in BENCHMARKS.names():
        for source in BENCHMARKS.get(name).sources:
            if isinstance(source, Source) and any(len(part) == 40 for part in source.url.split("/")):
                assert source.digest, f"{name}: {source.path}"


def test_kinds_of_pins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\r\nb\n")
    assert digests.actual(path, "sha256:") == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (
        digests.actual(path, "text:") == f"text:{hashlib.sha256(b'a' + bytes([10]) + b'b' + bytes([10])).hexdigest()}"
    )
    assert digests.fits(path, "")
    with pytest.raises(ValueError, match="expected KIND:HEX"):
        digests.actual(path, "md5:00")
