"""Throughput of the judge engine on this machine, against an endpoint on loopback in a process of its own.

    python perf/judge.py [--seconds 10] [--memory]

Prints, one ratio a line:
- latency: 64 calls in flight, 500 ms each; share of the ideal 128 replies a second (wanted: 0.90).
- saturation: no latency; share of the rate of the bare `openai` client with 64 in flight (wanted: 0.70).
- stage: as latency and as saturation, but the whole judge stage: questions made, every reply stored, verdicts read.
- memory (with --memory): growth of resident memory from 10,000 to 100,000 questions, in MB (wanted: flat).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing as mp
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.chat.settings import ChatSettings
from harness.evaluation.judge import judge_answers
from harness.judges.openai import OpenAIJudge
from harness.protocols.benchmark import (
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Metric,
    Sample,
    Verdict,
    ratio,
)
from harness.protocols.judge import JudgeRequest
from harness.protocols.model import Answer
from harness.store import Store

IN_FLIGHT = 64
LATENCY = 0.5
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "judge",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rating: 6"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 700, "completion_tokens": 100, "total_tokens": 800},
}


class Requests(Sequence[JudgeRequest]):
    """``n`` requests made on demand, so that the measured memory is the judge's own."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < self._n:
            raise IndexError(i)
        return JudgeRequest(str(i), JudgePrompt(f"Judge answer {i}. " + "words " * 400), "answer")


@dataclass(frozen=True, kw_only=True)
class Graded(Benchmark):
    """A benchmark of ``n`` answers whose judge gives a rating."""

    name: ClassVar[str] = "graded"
    paper: ClassVar[str] = ""
    needs_judge: ClassVar[bool] = True
    attempts: ClassVar[int] = 2
    judge_runs: ClassVar[int] = 1
    decoding: ClassVar[Decoding] = Decoding()
    version: ClassVar[str] = "1"
    mode: ClassVar[str] = ""
    n: int = 0

    def load(self, root: Path) -> BenchmarkData:
        return BenchmarkData([Sample(str(i), "What is it?") for i in range(self.n)], self.version)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        return JudgePrompt(f"Judge answer {sample.id}. " + "words " * 400)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if not replies:
            raise JudgeParseError
        return Verdict({"n": 1.0, "rating": float(replies[-1][-1])})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return Verdict({}, error="unreadable")

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return [Metric("rating", ratio("rating", "n", 1.0), True)]


class Endpoint(asyncio.Protocol):
    """The least HTTP server that answers chat completions: it must not be what is measured."""

    latency = 0.0
    payload = json.dumps(REPLY).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(payload),
        payload,
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._read = body[length:]
            asyncio.get_running_loop().call_later(self.latency, self._reply)

    def _reply(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self.answer)  # type: ignore[attr-defined]


def serve(latency: float, port: Connection) -> None:
    """Run an Endpoint for ever; its port goes through ``port``."""
    Endpoint.latency = latency

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0, backlog=512)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def endpoint(latency: float) -> Iterator[str]:
    """The base URL of an endpoint in another process."""
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(latency, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def our_rate(url: str, n: int) -> float:
    """Replies a second through the judge."""
    judge = OpenAIJudge(f"judge@{url}", settings=ChatSettings(concurrency=IN_FLIGHT))
    began = time.perf_counter()
    good = sum(reply.text is not None for _, reply in judge.ask(Requests(n)))
    elapsed = time.perf_counter() - began
    if good != n:
        raise SystemExit(f"{n - good} of {n} questions failed; the figures would mean nothing.")
    return n / elapsed


def stage_rate(url: str, n: int) -> float:
    """Verdicts a second through the store: everything between answers and figures."""
    benchmark = Graded(n=n)
    samples = benchmark.load(Path()).samples
    answers = {sample.id: Answer("It is a dog.") for sample in samples}
    judge = OpenAIJudge(f"judge@{url}", settings=ChatSettings(concurrency=IN_FLIGHT))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "r.sqlite")
        began = time.perf_counter()
        judged = judge_answers(store, benchmark, samples, answers, judge)
        elapsed = time.perf_counter() - began
        store.close()
    if any(item.verdict.error for item in judged):
        raise SystemExit("questions failed; the figures would mean nothing.")
    return n / elapsed


async def bare_rate(url: str, n: int) -> float:
    """Replies a second through the client alone: 64 workers, nothing kept."""
    import openai

    requests = iter(Requests(n))
    began = time.perf_counter()
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

        async def work() -> None:
            for request in requests:
                message = {"role": "user", "content": request.question.prompt}
                await client.chat.completions.create(model="judge", messages=[message], temperature=0.0)  # type: ignore[list-item]

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return n / (time.perf_counter() - began)


def resident_mb() -> float:
    """Resident memory of this process now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def peak_mb() -> float:
    """Most resident memory of this process so far (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long each measurement runs")
    parser.add_argument("--memory", action="store_true", help="also ask 100,000 questions (minutes)")
    options = parser.parse_args()
    ideal = IN_FLIGHT / LATENCY
    with endpoint(LATENCY) as url:
        our_rate(url, IN_FLIGHT)  # warm up: imports
        rate = our_rate(url, max(IN_FLIGHT, round(options.seconds * ideal / IN_FLIGHT) * IN_FLIGHT))
        stage = stage_rate(url, max(IN_FLIGHT, round(options.seconds * ideal / IN_FLIGHT) * IN_FLIGHT))
        print(f"stage       {stage / ideal:.2f}   {stage:.0f} of {ideal:.0f} verdicts a second")
        print(f"latency     {rate / ideal:.2f}   {rate:.0f} of {ideal:.0f} replies a second")
    with endpoint(0.0) as url:
        asyncio.run(bare_rate(url, 200))  # warm up
        rates = []
        for _ in range(3):  # alternating, so that a busy machine hits both
            n = round(options.seconds * 100)
            rates.append((our_rate(url, n), stage_rate(url, n), asyncio.run(bare_rate(url, n))))
        ours, stage, bare = (sorted(side)[1] for side in zip(*rates, strict=True))
        print(f"stage       {stage / bare:.2f}   {stage:.0f} against {bare:.0f} a second at saturation (medians of 3)")
        print(f"saturation  {ours / bare:.2f}   {ours:.0f} against {bare:.0f} replies a second (medians of 3)")
        if options.memory:
            our_rate(url, 10_000)
            before = resident_mb()
            our_rate(url, 100_000)
            print(f"memory      {resident_mb() - before:+.1f} MB from 10,000 to 100,000 questions")
            stage_rate(url, 10_000)
            before = peak_mb()
            stage_rate(url, 100_000)
            print(f"stage       {(peak_mb() - before) / 90:.2f} kB a question at its peak: answer, reply and verdict")


if __name__ == "__main__":
    main()
