"""Scoring without a judge: AMBER's full set from a responses file, as `score` does it.

    python perf/score.py --data-dir AMBER_DIR [--similarity exact]

AMBER_DIR holds the official files; the answers are made up here: captions of about 60 words that name what is in the
image and what is often imagined, and yes/no answers with a reason. Prints, one figure a line:
- verdicts: discriminative rows a second, verdicts only (wanted: 10,000).
- captions: captions a second, tagger included.
- score: seconds of the whole command on all rows: reading, verdicts, figures with intervals, storing (wanted: < 20).
- again: the same command once more.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.amber import Amber
from harness.protocols.benchmark import Sample

FILLER = "The scene is calm and the light is soft, and in the background one can make out several further details. "


def answer_of(sample: Sample, run: int = 0) -> str:
    """A made-up answer, right two times of three, in each ``run`` to other samples."""
    right = (int(sample.id) + run) % 3 > 0
    if sample.data["kind"] != "generative":
        says_yes = (sample.data["truth"] == "yes") == right
        return "Yes, it is." if says_yes else "No, there is none of that in the image."
    named = [*sample.data["truth"], *([] if right else sample.data["hallu"][:2])]
    return FILLER + " ".join(f"There is a {word} in the picture." for word in named) + " " + FILLER


def rows_per_second(benchmark: Amber, samples: Sequence[Sample]) -> float:
    answers = [answer_of(sample) for sample in samples]
    began = time.perf_counter()
    for sample, answer in zip(samples, answers, strict=True):
        benchmark.verdict(sample, answer, ())
    return len(samples) / (time.perf_counter() - began)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def command_seconds(words: Sequence[str]) -> float:
    """Wall time of one command in this process, imports done before."""
    from cli import cli

    began = time.perf_counter()
    with silence():
        cli(list(words), standalone_mode=False)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--similarity", default="exact")
    options = parser.parse_args()
    benchmark = Amber(similarity=options.similarity)
    samples = benchmark.load(options.data_dir).samples
    questions = [sample for sample in samples if sample.data["kind"] != "generative"]
    captions = [sample for sample in samples if sample.data["kind"] == "generative"]
    benchmark.verdict(captions[0], answer_of(captions[0]), ())  # loads the tagger
    print(f"verdicts  {rows_per_second(benchmark, questions):.0f} rows a second")
    print(f"captions  {rows_per_second(benchmark, captions):.0f} a second ({benchmark.version})")
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.jsonl"
        rows = (json.dumps({"id": sample.id, "response": answer_of(sample)}) + "\n" for sample in samples)
        answers.write_text("".join(rows))
        words = ["score", "--benchmark", "amber", "--responses", str(answers), "--data-dir", str(options.data_dir)]
        words += ["--set", f"similarity={options.similarity}", "--db", f"{folder}/r.sqlite", "--json"]
        print(f"score     {command_seconds(words):.1f} s for {len(samples)} rows")
        print(f"again     {command_seconds(words):.1f} s")


if __name__ == "__main__":
    main()
