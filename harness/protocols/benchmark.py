"""What a benchmark declares, so that the engine can run it: samples, judge questions, verdicts, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from harness.protocols.conversation import Image, Turn, question
from harness.protocols.metric import Metric as Metric  # noqa: PLC0414 (plug-ins import these from here)
from harness.protocols.metric import Sums as Sums  # noqa: PLC0414
from harness.protocols.metric import ratio as ratio  # noqa: PLC0414
from harness.protocols.unread import JudgeParseError as JudgeParseError  # noqa: PLC0414 (plug-ins import it from here)
from harness.registry import Registry
from harness.util.fetching import AnySource
from harness.util.options import added
from harness.util.ranges import above, at_least
from harness.util.shape import extends

Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True)
class Decoding:
    """How answers are generated. It belongs to a benchmark's protocol, hence to its version.

    Args:
        max_new_tokens: length of an answer at most.
        num_beams: 1 is greedy, more are beam search.
        temperature: 0 is greedy, above it answers are sampled.
        eos_bias: added to the end-of-sequence logit (0: the model as it is); it trades length against silence.
        repetition_penalty: divides the logits of tokens that were there before (1: none); None: as the checkpoint's own
            generation configuration has it, which is recorded.
        system: the system message of a protocol that has its own; "" for the model's.
        pad_to_square: a protocol's images are padded to a square with the processor's mean colour (LLaVA-1.5).
        checkpoint: what the checkpoint's own generation configuration adds beside that, in words; no setting.
    """

    max_new_tokens: Annotated[int, at_least(1, "tokens")] = 1024
    num_beams: Annotated[int, at_least(1)] = 1
    temperature: Annotated[float, at_least(0)] = 0.0
    eos_bias: float = 0.0
    repetition_penalty: Annotated[float, above(0)] | None = added(None)
    system: str = added("")
    pad_to_square: bool = added(False)
    checkpoint: str = field(default="", init=False, metadata={"added": True})

    def with_checkpoint(self, said: str) -> Decoding:
        """This decoding of a model whose checkpoint adds ``said`` to it."""
        copy = replace(self)
        object.__setattr__(copy, "checkpoint", said)
        return copy


@dataclass(frozen=True)
class Sample:
    """One question to a model.

    Args:
        id: as the benchmark's own data has it.
        prompt: the text put to the model beside the image.
        image: what the question is about; None for a question without one (``Benchmark.image_optional``). Of other
            benchmarks None becomes an Image of nothing: it is missing.
        data: what the scorer needs (ground truth, type, reference answer).
        group: samples of one image share it; intervals resample groups.
        resources: what ``judge_prompt`` and ``verdict`` need beside the data and all samples share (the judge's prompt,
            synonyms, a tagger). It is neither stored nor part of any key: what of it shapes the score must be in the
            version or, by name or digest, in ``data``. None in samples from the store.
    """

    id: str
    prompt: str
    image: Image | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    resources: Any = field(default=None, compare=False, repr=False)

    @property
    def turn(self) -> Turn:
        """What is put to the model: the prompt about the image, which comes first."""
        return question(self.prompt, *(() if self.image is None else (self.image,)))

    @property
    def image_group(self) -> str:
        """Samples that share it are of one image: one process answers them, so that the image is encoded once."""
        return self.group or self.id


@dataclass(frozen=True)
class BenchmarkData:
    """What a benchmark makes of a data directory.

    Args:
        samples: in the order of the files.
        version: what shapes the score and is not data: ``Benchmark.version``, made exact where the directory decides.
        info: recorded with an evaluation beside the version: which prompt is asked.
        notes: how the files differ from the official ones ("annotations.json: 40 rows, official 15220").
        whole: all questions of the files, where a setting leaves out some of them: files of answers are of these.
    """

    samples: Sequence[Sample]
    version: str
    info: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    whole: Sequence[Sample] = ()


@dataclass(frozen=True)
class JudgePrompt:
    """One prompt to the judge. Everything here is part of the key under which its reply is stored.

    ``role``: of the only message where ``system`` is None (Object HalBench asks in role "system").
    """

    prompt: str
    system: str | None = None
    role: Literal["user", "system"] = "user"
    temperature: float = 0.0
    max_tokens: int | None = None
    top_p: float | None = None
    image: Image | None = None


@dataclass(frozen=True)
class Verdict:
    """A few numbers about one answer, to be summed over samples, and what `show` prints of it.

    ``error`` says why the answer could not be scored: plain metrics then must not see it, so ``counts`` holds only
    what official rules make of it (``official_*``), and the sample counts as failed.
    ``details`` is for people (mentions, hallucinated words); nothing is computed from it.
    """

    counts: Mapping[str, float]
    error: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def groups_by(samples: Sequence[Sample], key: Callable[[Sample], str | None]) -> dict[str, str]:
    """``Metric.groups``: the group of every sample as ``key`` names it; samples of None belong to no group."""
    return {sample.id: group for sample in samples if (group := key(sample)) is not None}


class Benchmark(ABC):
    """Base of every benchmark: a frozen dataclass of its settings (`--set`) with what it declares and does.

    Declared on the class (all but ``name`` have a default):
        name: how it is called on the command line.
        paper: where it is described (a URL).
        title: its name in tables.
        headline: metrics of the short tables, the first is the one that is ranked by; () for the first six.
        primary: the metric that sums the benchmark up; "" for the first headline metric.
        suites: the suites it belongs to ("hallucination", "general" or a plug-in's own).
        ability: the metric that stands for general ability in trade-off charts; "" for none.
        tradeoff: (metric of hallucination, metric of coverage), for benchmarks that have both.
        rates: metrics that the charts of combination strategies show, each with the count that it is a share of.
        metric_titles: how metrics are called in tables, where their own name will not do.
        sources: the official files, for `fetch`.
        ratings: the judge's numbers in a verdict, each with its level of measurement, for the agreement of judges.
        trivial_answers: answers that need no model ("No" to everything), by what their reference rows are called.
        official_attempts: how often the official script asks a judge; of recorded replies as many are read.
        rated_first: the judge gives its rating first, so that a cut reply has it; else a cut reply is an error row.
        image_optional: questions without an image belong to it; of other benchmarks such a sample is a failed answer.

    It keeps no state and opens files in ``load`` only: what scoring needs of them is in the samples' data or resources.
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    title: ClassVar[str] = ""
    headline: ClassVar[tuple[str, ...]] = ()
    primary: ClassVar[str] = ""
    suites: ClassVar[tuple[str, ...]] = ()
    ability: ClassVar[str] = ""
    tradeoff: ClassVar[tuple[str, str] | None] = None
    rates: ClassVar[tuple[tuple[str, str], ...]] = ()
    metric_titles: ClassVar[Mapping[str, str]] = {}
    sources: ClassVar[Sequence[AnySource]] = ()
    ratings: ClassVar[Mapping[str, Level]] = {}
    trivial_answers: ClassVar[Mapping[str, str]] = {}
    official_attempts: ClassVar[int] = 1
    rated_first: ClassVar[bool] = False
    image_optional: ClassVar[bool] = False

    @property
    def needs_judge(self) -> bool:
        """Whether answers are scored from a judge's replies."""
        return False

    @property
    def attempts(self) -> int:
        """How often the judge is asked about one answer before the sample is an error (2: one re-ask)."""
        return 2

    @property
    def judge_runs(self) -> int:
        """How many independent judge runs the protocol wants."""
        return 1

    @property
    def decoding(self) -> Decoding:
        """How answers are generated by the protocol."""
        return Decoding()

    @property
    @abstractmethod
    def version(self) -> str:
        """What shapes the score and is known without data: protocol, parser, tagger; see ``BenchmarkData``."""

    @property
    def mode(self) -> str:
        """The rules of the plain metrics, in a word or two."""
        return "plain"

    @abstractmethod
    def load(self, root: Path) -> BenchmarkData:
        """All samples of the data directory ``root``; raises DataError naming the file and row at fault."""

    def part(self, sample: Sample) -> str:
        """The part of it that ``sample`` belongs to (a split, a type): `--limit` draws from every part."""
        return ""

    def drawn_with(self, sample: Sample) -> str:
        """A name that ``sample`` shares with those of its part that `--limit` takes or leaves together with it."""
        return sample.id

    def check(self) -> None:  # noqa: B027 - of most there is nothing to check
        """Called before anything is loaded; raises UsageError where it cannot run here (a package is missing)."""

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        """What the judge is asked about ``answer`` at this attempt (0 first); None if it is not needed."""
        return None

    @abstractmethod
    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """The verdict on ``answer`` from the judge's replies so far, in order of attempts (empty without a judge).

        Raises JudgeParseError if no reply so far can be read. After the last attempt the engine calls ``unreadable``.
        """

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """The error verdict after the last attempt, with what the official rules make of it in ``official_*``."""
        return Verdict({}, error=f"judge: none of {len(replies)} replies can be read")

    def trivial_verdict(self, sample: Sample, answer: str) -> Verdict | None:
        """The verdict on one of ``trivial_answers``, from the label alone; None where it answers no such question."""
        return None if self.needs_judge else self.verdict(sample, answer, [])

    @abstractmethod
    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        """The figures reported, the headline first; from stored samples too, which have no image and no resources."""

    def stored_metrics(self, samples: Sequence[Sample], figures: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
        """The figures of a stored evaluation, to be computed again from its verdicts; ``figures``: as stored."""
        return self.metrics(samples)


NAMES: tuple[str, ...] = ("object_halbench", "amber", "mmhal", "mm_vet", "llava_bench", "pope", "hallusion_bench")
NAMES += ("chair_coco", "dash_b", "mmstar", "lmms")
PARTS = ("model", "judge", "scoring")
"""What `bench` is set by under these names is no benchmark's: `--set judge.concurrency=8`."""
BENCHMARKS: Registry[type[Benchmark]] = Registry(
    "benchmark",
    tuple(f"benchmarks.{name}" for name in NAMES),
    package="benchmarks",
    group="dama_harness.benchmarks",
    check=extends(Benchmark, "name", taken=PARTS),
    readable=("version", "mode", "needs_judge", "decoding"),
    named=True,
)
