"""Object HalBench: objects that a description mentions and the image does not show (CHAIR with a judge as reader).

Papers: Rohrbach et al. 2018 (CHAIR); Yu et al. 2024 (RLHF-V, RLAIF-V: the 300 questions and the judge).
Code: RLAIF-V `eval_gpt_obj_halbench.py` at 83d917b. ``chair_s_refine`` is the published response-level rate and
``chair_i`` the mention-level one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from benchmarks.common import files
from benchmarks.common.chair import (
    Synonyms,
    built_in_synonyms,
    caption_words,
    first_names,
    image_truth,
    known_objects,
    read_synonyms,
    refine,
)
from benchmarks.common.chair_figures import chair_metrics, chair_verdict, length_metrics
from benchmarks.common.coco import ANNOTATIONS, image_key_of, questions_file, read_facts
from benchmarks.common.images import image_in
from benchmarks.common.llava_protocol import LLAVA_V1, LlavaProtocol
from benchmarks.common.object_replies import (
    PARSERS,
    first_readable,
    read_objects,
    read_objects_officially,
    read_objects_tolerantly,
)
from benchmarks.common.official import OfficialPrompt, Prompt, PromptChoice
from benchmarks.common.prompts import OBJECTS, fill
from benchmarks.common.sources import APACHE, NON_COMMERCIAL, RLAIFV
from benchmarks.common.taggers import (
    OFFICIAL_NLTK,
    OFFICIAL_SPACY,
    Tagger,
    TaggerName,
    find_name_tagger,
    resolve_name_tagger,
)
from harness.errors import DataError, UsageError
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Level,
    Metric,
    Sample,
    Verdict,
    ratio,
)
from harness.protocols.official import unofficial
from harness.protocols.unread import OfficiallyUnread
from harness.util.fetching import AnySource, Source
from harness.util.jsonl import iter_jsonl
from harness.util.options import added
from harness.util.ranges import at_least

QUESTIONS, OFFICIAL_QUESTIONS = "obj_halbench_300_with_image.jsonl", "git:cb8e15a"  # in RLHF-V and RLAIF-V
OFFICIAL_SCRIPT = "text:40c3fad80f0b911def46817e84a862485293034e0339120b85b5248a8a78556d"
OFFICIAL_ROWS = 300
SYNONYMS = "synonyms_refine.txt"
OFFICIAL_SYNONYMS = "text:681041d2958d7871ed6fa69c3108f34aa6a0a354eb53ed4c5a425e65f86bc72a"
OFFICIAL_PROMPT = OfficialPrompt(
    ("eval_gpt_obj_halbench.py",),
    "prompt_template",
    "9d732f9b73a3cc965bee6eb163b8e5248e58bd9d382eb583e9ece59933e2b580",
)
DECODING = Decoding(max_new_tokens=1024, num_beams=3)
SHORT_ANSWER = 3  # words; REPRODUCE: so short an answer is taken to name no object, without asking the judge
SOURCES: tuple[AnySource, ...] = (
    Source(
        QUESTIONS,
        f"{RLAIFV}/data/{QUESTIONS}",
        OFFICIAL_QUESTIONS,
        f"data {NON_COMMERCIAL}, images of COCO under Flickr terms",
    ),
    Source(SYNONYMS, f"{RLAIFV}/data/{SYNONYMS}", OFFICIAL_SYNONYMS, f"data {NON_COMMERCIAL}"),
    Source("eval_gpt_obj_halbench.py", f"{RLAIFV}/eval_gpt_obj_halbench.py", OFFICIAL_SCRIPT, f"code {APACHE}"),
    Source(
        "annotations_trainval2014.zip",
        ANNOTATIONS,
        "",
        "CC BY 4.0",
        unpack=(("*captions_*2014.json", "annotations"), ("*instances_*2014.json", "annotations")),
        gives=tuple(f"annotations/{k}_{s}2014.json" for k in ("captions", "instances") for s in ("train", "val")),
    ),
)


@dataclass(frozen=True)
class Resources:
    """What scoring needs beside a sample's data: the vocabulary, what reduces names to it, what the judge is asked."""

    synonyms: Synonyms
    tagger: Tagger
    prompt: Prompt


@dataclass(frozen=True, kw_only=True)
class ObjectHalBench(LlavaProtocol, Benchmark):
    """Object HalBench.

    Settings:
        extraction: ``judge`` reads the objects out of an answer (official); ``text`` takes every known word in it
            (official without --use_gpt), which needs no judge.
        count: of ``extraction=text``: ``words`` counts every word, repetitions too (official); ``unique`` an object
            once, by whatever names it is mentioned, which is nearer to what the judge lists.
        tagger: reduces names to nouns; the official code uses spaCy for the judge's names and NLTK for captions.
        prompt: ``official`` is read from eval_gpt_obj_halbench.py in the data directory, ``own`` is the project's
            wording, ``auto`` is the official one where it is there.
        parser: ``tolerant`` also reads a list of strings inside a code fence, prose or a JSON object, and "()", which
            the official prompt asks for, as no objects; ``strict`` only what the official parser takes.
        attempts: how often an unreadable live judge is asked; officially up to 100 times, as recorded ones are read.
    """

    name: ClassVar[str] = "object_halbench"
    system_message: ClassVar[str] = LLAVA_V1
    paper: ClassVar[str] = "https://arxiv.org/abs/2405.17220"
    title: ClassVar[str] = "Object HalBench"
    headline: ClassVar[tuple[str, ...]] = ("chair_s_refine", "chair_i", "recall", "mentions")
    primary: ClassVar[str] = "chair_i"
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    ratings: ClassVar[Mapping[str, Level]] = {"hallucinating": "nominal", "hallucinated": "interval"}
    suites: ClassVar[tuple[str, ...]] = ("hallucination",)
    tradeoff: ClassVar[tuple[str, str]] = ("chair_i", "recall")
    rates: ClassVar[tuple[tuple[str, str], ...]] = (("nonhal_response", "responses"), ("nonhal_mention", "mentions"))
    metric_titles: ClassVar[Mapping[str, str]] = {"chair_s_refine": "CHAIRs", "chair_i": "CHAIRi"}
    official_attempts: ClassVar[int] = 100  # recorded replies are read so far; a live judge is asked ``attempts`` times

    extraction: Literal["judge", "text"] = "judge"
    count: Literal["words", "unique"] = added("words")
    tagger: TaggerName = "auto"
    prompt: PromptChoice = "auto"
    parser: Literal["strict", "tolerant"] = "tolerant"
    attempts: Annotated[int, at_least(1)] = 5
    decoding: Decoding = DECODING

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count != "words" and self.needs_judge:
            raise UsageError(
                f"object_halbench: count={self.count} is of extraction=text; a judge lists each object once as it is."
            )

    @property
    def needs_judge(self) -> bool:
        return self.extraction == "judge"

    @property
    def version(self) -> str:
        return self._version(self.prompt)

    def _version(self, prompt: str) -> str:
        how = "" if self.count == "words" else f" count={self.count}"
        if self.needs_judge:
            how = f" prompt={prompt} parser={PARSERS[self.parser]} attempts={self.attempts}"
        return f"object_halbench-1 extraction={self.extraction} tagger={resolve_name_tagger(self.tagger)}{how}"

    @property
    def mode(self) -> str:
        return f"judge, list of strings, {self.parser} parser" if self.needs_judge else "caption words, no judge"

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids "0", "1"...; the truth of each image is in its sample's data.

        Reads the questions (obj_halbench_300_with_image.jsonl or the only *.jsonl of questions), the ground truth
        (ground_truth.jsonl or COCO 2014) and, if there, synonyms_refine.txt.
        """
        path = questions_file(root, QUESTIONS)
        rows = list(iter_jsonl(path))
        keys = [image_key_of(row, f"{path} line {number}") for number, row in rows]
        facts = read_facts(root, set(keys))
        table = files.find(root, SYNONYMS)
        synonyms = read_synonyms(table) if table else built_in_synonyms()
        choice = self.prompt if self.needs_judge else "own"
        tagger, prompt = find_name_tagger(self.tagger), OFFICIAL_PROMPT.find(root, OBJECTS, choice)
        resources = Resources(synonyms, tagger, prompt)
        digest = hashlib.sha256(f"{synonyms.name} {tagger.name}".encode()).hexdigest()[:16]
        samples = []
        for index, ((number, row), key) in enumerate(zip(rows, keys, strict=True)):
            where = f"{path} line {number}"
            if key not in facts:
                raise DataError(f"{where}: image {key} has no ground truth in {root}.")
            truth = image_truth(facts[key].instances, facts[key].captions, synonyms, tagger)
            data = {"image_id": key, "truth": truth, "synonyms": synonyms.name, "words": digest}
            image, question = image_in(row, root, where), files.field_of(row, "question", str, where)
            samples.append(Sample(str(index), question, image, data, key, resources))
        info: dict[str, Any] = {"prompt": prompt.record} if self.needs_judge else {}
        info |= self._unofficial(tagger, synonyms, table, prompt)
        notes = _notes(root, path, len(samples)) + OFFICIAL_PROMPT.note(root, choice)
        return BenchmarkData(samples, self._version(prompt.name), info, notes)

    def _unofficial(
        self, tagger: Tagger, synonyms: Synonyms, table: Path | None, prompt: Prompt
    ) -> dict[str, list[str]]:
        """Officially spaCy parses the judge's names and NLTK the captions, which are all there is without a judge."""
        official = f"spacy-{OFFICIAL_SPACY}+{OFFICIAL_NLTK}" if self.needs_judge else OFFICIAL_NLTK
        names = files.official_part("synonyms", table, OFFICIAL_SYNONYMS, SYNONYMS, synonyms.name)
        asked = [OFFICIAL_PROMPT.part(prompt)] if self.needs_judge else []
        return unofficial(("nouns", tagger.name, official), names, *asked)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        """The judge is asked in role "system", as officially; not about short answers."""
        if not self.needs_judge or _is_short(answer):
            return None
        template: Prompt = sample.resources.prompt
        if (
            template.official
        ):  # REPRODUCE: the question's braces are filled before the answer's; asked again, it is the same
            prompt = template.text.replace("{question}", sample.prompt).replace("{answer}", _clean(answer))
        else:
            again = template.again if attempt else ""
            prompt = fill(template.text + again, question=sample.prompt, answer=_clean(answer))
        return JudgePrompt(prompt, role="system", temperature=0.2, top_p=1.0, max_tokens=512)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if not self.needs_judge:
            synonyms, tagger = sample.resources.synonyms, sample.resources.tagger
            words = caption_words(_clean(answer), synonyms, tagger)
            return _verdict(words if self.count == "words" else first_names(words, synonyms), sample, answer)
        names: list[str] | None = [] if _is_short(answer) else first_readable(replies, self._read_reply)
        if names is None:
            raise JudgeParseError(f"no JSON list of strings in {len(replies)} replies")
        if not _is_short(answer) and first_readable(replies, read_objects_officially) is None:
            raise OfficiallyUnread("no reply that the official parser takes")
        return _both(names, sample, answer, replies)

    def _read_reply(self, reply: str) -> list[str] | None:
        return read_objects(reply) if self.parser == "strict" else read_objects_tolerantly(reply)

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        names = first_readable(replies, self._read_reply)
        if names is not None:
            return _both(names, sample, answer, replies)
        error = f"judge: no JSON list of strings in {len(replies)} replies"
        if self.parser == "strict" and any(read_objects_tolerantly(reply) is not None for reply in replies):
            error += " (parser=tolerant would read one)"
        return Verdict(_official(sample, answer, replies), error=error)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        metrics = chair_metrics("") + length_metrics()
        unread = Metric("official_unread", ratio("officially_unread", "responses"), False)
        return metrics + ([*chair_metrics("official_"), unread] if self.needs_judge else [])


def _notes(root: Path, path: Path, rows: int) -> list[str]:
    notes = files.count_note(path.name, rows, OFFICIAL_ROWS)
    notes += files.notes(root, {(path.name,): OFFICIAL_QUESTIONS})
    if files.find(root, SYNONYMS) is None:
        return [*notes, f"{SYNONYMS}: absent, the project's own short table of synonyms is used"]
    return notes + files.notes(root, {(SYNONYMS,): OFFICIAL_SYNONYMS})


def _clean(answer: str) -> str:
    return answer.replace("Assistant:", "").strip()


def _is_short(answer: str) -> bool:
    return len(_clean(answer).split()) <= SHORT_ANSWER


def _judged(names: Sequence[str], sample: Sample, answer: str) -> Verdict:
    """The verdict on the objects that a judge lists."""
    synonyms, tagger = sample.resources.synonyms, sample.resources.tagger
    return _verdict(known_objects(refine(names, synonyms, tagger), synonyms), sample, answer)


def _both(names: Sequence[str], sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
    """Our counts and the official ones; a sample without these is counted: the official run would end there."""
    ours, official = _judged(names, sample, answer), _official(sample, answer, replies)
    return Verdict({**ours.counts, "officially_unread": float(not official), **official}, details=ours.details)


def _official(sample: Sample, answer: str, replies: Sequence[str]) -> dict[str, float]:
    """The official counts; none where the official code would have lost the sample."""
    names = [] if _is_short(answer) else first_readable(replies, read_objects_officially)
    if names is None:
        return {}
    return {f"official_{key}": value for key, value in _judged(names, sample, answer).counts.items()}


def _verdict(mentions: Sequence[str], sample: Sample, answer: str) -> Verdict:
    read = chair_verdict(mentions, sample.data["truth"], sample.resources.synonyms)
    words = float(len(_clean(answer).split(" ")))  # REPRODUCE: an empty answer has one word
    return Verdict({**read.counts, "words": words}, details=read.details)


BENCHMARKS.register("object_halbench", ObjectHalBench)
