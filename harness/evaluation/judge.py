"""From answers to verdicts: what the store holds is not asked again, and every reply is stored as it comes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import overload

from harness.errors import UsageError
from harness.evaluation.plugged import each_once
from harness.evaluation.replies import MORE_TOKENS, as_text, is_cut, sound, unread
from harness.evaluation.sharing import turns
from harness.evaluation.spoken import without_end
from harness.protocols.benchmark import Benchmark, JudgePrompt, Sample, Verdict
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer
from harness.protocols.progress import Progress, silent
from harness.protocols.reasoning import spoken, spoken_by_all
from harness.protocols.unread import JudgeParseError, OfficiallyUnread
from harness.store import ReadReply, Store
from harness.util.options import content_key


@dataclass(frozen=True)
class Judged:
    """A verdict with what it is about and was read off; ``verdict`` per judge run."""

    sample: Sample
    run: int
    answer: str | None
    verdict: Verdict
    replies: tuple[ReadReply, ...] = ()


@dataclass
class JudgeUsage:
    """What the replies behind a set of verdicts were, stored ones included.

    ``unpaid`` were not asked for, because the judge's budget is spent. ``models`` as returned; ``amounts`` sums every
    number of the replies' usage (tokens, and what a judge of another package counts by), with ``calls``, one a reply:
    what ``Judge.cost`` is asked for.
    """

    replies: int = 0
    failed: int = 0
    cut: int = 0
    unpaid: int = 0
    models: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)
    adapted: Counter[str] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        self.replies += reply.text is not None
        self.failed += reply.text is None
        self.cut += is_cut(reply)
        self.unpaid += reply.usage.get("unpaid") is True
        self.adapted.update(reply.usage.get("adapted", ()))
        if reply.text is not None and reply.model:
            self.models[reply.model] += 1
        numbers = {k: v for k, v in reply.usage.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        self.amounts.update({**numbers, "calls": 1})

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens of the prompts and of the replies."""
        return {name: self.amounts[name] for name in ("prompt_tokens", "completion_tokens") if name in self.amounts}

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know of how the replies came about."""
        count = self.replies + self.failed
        cut = [f"{self.cut} of {count} replies of the judge reached its token limit and are cut"] if self.cut else []
        return cut + [f"not sent to the judge as the protocol has it: {text}" for text in self.adapted]


@dataclass
class _Pending:
    """An answer without a verdict yet, and the replies about it so far: the texts ``given``, the keys ``read``."""

    sample: Sample
    answer: str
    given: list[Reply] = field(default_factory=list)
    read: list[ReadReply] = field(default_factory=list)
    failure: str | None = None

    @property
    def replies(self) -> list[str]:
        """What the judge said, without its thoughts and the token that ends its turn."""
        return [spoken(without_end(reply.text or "")).text for reply in self.given]


@dataclass(frozen=True)
class _JudgeRun:
    """What one judge run works with."""

    store: Store
    benchmark: Benchmark
    judge: Judge | None
    run: int
    usage_total: JudgeUsage
    progress: Progress


def judge_answers(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    answers: Mapping[str, Answer],
    judge: Judge | None,
    *,
    runs: int | None = None,
    progress: Progress = silent,
    usage_total: JudgeUsage | None = None,
) -> list[Judged]:
    """A verdict for every answered sample and judge run. A sample that cannot be scored has an error verdict.

    ``runs`` is how many judge runs to make: by default what the judge has recorded, else what the protocol wants.
    ``usage_total``, if given, counts the replies.
    """
    if benchmark.needs_judge and judge is None:
        raise UsageError(f"{benchmark.name} is scored by a judge: name one with --judge (openai:NAME, replay:FILE).")
    judged: list[Judged] = []
    total = 1 if judge is None or not benchmark.needs_judge else (runs or judge.runs or benchmark.judge_runs)
    for run in range(total):
        usage = JudgeUsage() if usage_total is None else usage_total
        judged += _judge_once(_JudgeRun(store, benchmark, judge, run, usage, progress), samples, answers)
    return judged


def _judge_once(judge_run: _JudgeRun, samples: Sequence[Sample], answers: Mapping[str, Answer]) -> list[Judged]:
    done: dict[str, Judged] = {}
    pending: list[_Pending] = []
    for sample in samples:
        answer = answers.get(sample.id)
        if answer is None:
            continue
        if answer.text is None:
            done[sample.id] = Judged(sample, judge_run.run, None, Verdict({}, error=f"no answer: {answer.error}"))
        else:
            pending.append(_Pending(sample, answer.text))
    for attempt in range(_attempts(judge_run)):
        _ask(judge_run, pending, attempt)
        pending = list(_settle(judge_run, pending, done))
        judge_run.progress("verdicts", len(done), len(samples))
        if not pending:
            break
    for item in pending:
        verdict = sound(partial(judge_run.benchmark.unreadable, item.sample, item.answer, item.replies))
        done[item.sample.id] = Judged(item.sample, judge_run.run, item.answer, verdict, tuple(item.read))
    return [done[sample.id] for sample in samples if sample.id in done]


def request_key(judge: Judge, question: JudgePrompt, sample: Sample, answer: str) -> str:
    """The key of a question to ``judge``; one that answers by sample has sample and answer in it."""
    about = (sample.id, answer) if judge.keyed_by_sample else ("", "")
    return question_key(question, *about, *([judge.variant] if judge.variant else []))


def question_key(question: JudgePrompt, *more: str) -> str:
    """The key of what was asked: the whole question, the image by content."""
    try:
        image = hashlib.sha256(question.image.read()).hexdigest() if question.image else ""
    except OSError:  # the judge will say so
        image = "unreadable"
    fields = {f.name: getattr(question, f.name) for f in dataclasses.fields(question) if f.name != "image"}
    return content_key(fields, image, *more)


def _attempts(judge_run: _JudgeRun) -> int:
    """How often an unreadable judge is asked; recorded replies cost nothing and are read as far as officially."""
    benchmark, judge = judge_run.benchmark, judge_run.judge
    official = benchmark.official_attempts if judge is not None and judge.recorded else 1
    return max(1, benchmark.attempts, official)


class _Requests(Sequence[JudgeRequest]):
    """The questions about ``items``, made when they are looked at: 100,000 prompts are never in memory at once."""

    def __init__(self, judge_run: _JudgeRun, items: Sequence[_Pending], attempt: int) -> None:
        self._desk, self._items, self._attempt = judge_run, items, attempt

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> JudgeRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[JudgeRequest]: ...
    def __getitem__(self, index: int | slice) -> JudgeRequest | list[JudgeRequest]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        item = self._items[index]
        question = self._desk.benchmark.judge_prompt(item.sample, item.answer, self._attempt)
        assert question is not None  # only those that have one are asked
        return JudgeRequest(item.sample.id, question, item.answer, self._desk.run, self._attempt)


def _ask(judge_run: _JudgeRun, pending: Sequence[_Pending], attempt: int) -> None:
    """Give each open answer its reply, or the reason why there is none. The same question is asked once for all."""
    judge, store, run = judge_run.judge, judge_run.store, judge_run.run
    if judge is None:
        return
    owners: dict[str, list[_Pending]] = {}
    cut: dict[str, Reply] = {}
    for item in pending:
        question = judge_run.benchmark.judge_prompt(item.sample, item.answer, attempt)
        if question is None:
            continue
        key = request_key(judge, question, item.sample, item.answer)
        recalled = _recalled(judge_run, judge, key, attempt)
        if recalled is not None and (
            spoken(recalled.text or "").unfinished or unread(recalled, judge_run.benchmark.rated_first)
        ):
            cut[key], recalled = recalled, None  # a failure like any other: asked for again
        if recalled is not None:
            _take(judge_run, recalled, [item], attempt, key)
        else:
            owners.setdefault(key, []).append(item)
    scope, count = content_key("replies", judge.name, judge.endpoint, run, attempt), 0
    free = judge.keyed_by_sample or judge.recorded  # what costs nothing is not shared with other processes
    with contextlib.closing(turns(None if free else store, scope, list(owners))) as parts:
        for part in parts:
            # Another process may have got a reply since: it counts here as it does there.
            now = [(key, _recalled(judge_run, judge, key, attempt)) for key in part]
            since = {key: reply for key, reply in now if reply is not None and reply != cut.get(key)}
            for key, reply in since.items():
                _take(judge_run, reply, owners[key], attempt, key)
            new = [key for key in part if key not in since]
            count += len(since)
            asked = judge.ask(_Requests(judge_run, [owners[key][0] for key in new], attempt))
            of_judge = f"judge {judge.name}: ask", Reply(None, "", "the judge gave no reply")
            for position, given in each_once(asked, len(new), *of_judge):
                reply = as_text(given)
                store.save_reply(judge.name, judge.endpoint, new[position], run, attempt, reply)
                _take(judge_run, reply, owners[new[position]], attempt, new[position])
                count += 1
                judge_run.progress("judge", count, len(owners))


def _recalled(judge_run: _JudgeRun, judge: Judge, key: str, attempt: int) -> Reply | None:
    """The stored reply to a question, as the judge takes it now."""
    if judge.keyed_by_sample:  # one of recorded replies or of known truth costs nothing, and its file may have changed
        return None
    known = judge_run.store.reply(judge.name, judge.endpoint, key, judge_run.run, attempt)
    return judge.recall(known) if known is not None else None


def _take(judge_run: _JudgeRun, reply: Reply, items: Sequence[_Pending], attempt: int, prompt: str) -> None:
    judge_run.usage_total.add(reply)
    read = ReadReply.of(attempt, prompt, reply)
    for item in items:
        item.read.append(read)
        if reply.text is None:
            item.failure = reply.error or "no reply"
        else:
            item.given.append(reply)


def _settle(judge_run: _JudgeRun, pending: Sequence[_Pending], done: dict[str, Judged]) -> Iterator[_Pending]:
    """Move what has a verdict (or a failed call) to ``done``; yield what must be asked again."""
    last = spoken_by_all({i: (p.given[-1].text or "", is_cut(p.given[-1])) for i, p in enumerate(pending) if p.given})
    for index, item in enumerate(pending):
        sample, text, replies = item.sample, item.answer, item.replies
        reason = unread(item.given[-1], judge_run.benchmark.rated_first) if item.given else ""
        if index in last and last[index].unfinished:
            reason = f"ends inside its thoughts: {MORE_TOKENS}"
        if item.failure is None and reason:
            item.failure = f"the reply {reason}"
            replies = replies[:-1]
        if item.failure is not None:
            # What earlier replies amount to, by the official rules at least, stands.
            verdict = (
                sound(partial(judge_run.benchmark.unreadable, sample, text, replies))
                if replies
                else Verdict({}, error="no reply")
            )
            if verdict.error is not None:
                verdict = dataclasses.replace(verdict, error=f"judge: {item.failure}")
        else:
            try:
                verdict = sound(partial(judge_run.benchmark.verdict, sample, text, replies))
            except JudgeParseError as error:
                recorded = judge_run.judge is not None and judge_run.judge.recorded
                if recorded or not isinstance(error, OfficiallyUnread):
                    yield item
                    continue
                verdict = sound(partial(judge_run.benchmark.unreadable, sample, text, replies))
        done[sample.id] = Judged(sample, judge_run.run, text, verdict, tuple(item.read))
