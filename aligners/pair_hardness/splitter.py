"""Splitting a response into sub-sentences that can be held against the image one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from harness.errors import HarnessError
from harness.util.options import content_key
from harness.util.paths import cache_dir

PROMPT = """\
Break the description below into short statements. Each statement makes one claim about the picture, can be read on \
its own, and keeps the words of the description as far as possible. Leave nothing out, add nothing, and keep the order.
Answer with a JSON list of strings and nothing else.

Description:
{text}"""

RE_ASK = "That was not a JSON list of strings. Send the list alone, with no other text."


class Splitter(Protocol):
    """Cuts texts into pieces. ``name`` stands in the record of what was computed and in the cache keys."""

    @property
    def name(self) -> str: ...

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """The pieces of each text, at least one each, in order. Raises SplitError for a text it cannot split."""
        ...


class SplitError(HarnessError):
    """The text at ``index`` of the call could not be split."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+|\n+")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e|approx|No)\.$", re.IGNORECASE)
# "and" starts a clause only before what can start one: "and a bird", not the "and" of "black and white".
_OPENERS = (
    r"(?:an?|the|his|her|its|their|this|that|these|those|some|several|many|another|other|there|it|they|he|she|we|you|"
    r"is|are|was|were|has|have|one|two|three|four|five|six|seven|eight|nine|ten|\d+)"
)
_CLAUSE = re.compile(rf",\s+|\s+(?=(?:while|with|and\s+{_OPENERS})\s)", re.IGNORECASE)
_MIN_WORDS = 2  # "a cat" can be held against an image, the "red" of "red, white and blue" says too little


class RuleSplitter:
    """Sentences, then clauses at commas and before "and", "while" and "with"; needs no network."""

    name = "rule-1"

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        return [_split(text) for text in texts]


def _split(text: str) -> list[str]:
    pieces = [clause for sentence in _sentences(text) for clause in _clauses(sentence)]
    return pieces or [text.strip()]


def _sentences(text: str) -> list[str]:
    out: list[str] = []
    for part in filter(None, (part.strip() for part in _SENTENCE_END.split(text))):
        if out and _ABBREVIATION.search(out[-1]):
            out[-1] += " " + part
        elif re.search(r"\w", part):  # a stray " ." says nothing
            out.append(part)
    return out


def _clauses(sentence: str) -> list[str]:
    """Clauses of at least two words; a shorter one stays with its predecessor, or with its successor at the start."""
    cuts = [match.span() for match in _CLAUSE.finditer(sentence)]
    starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(sentence)]
    spans: list[tuple[int, int]] = []
    for start, end in zip(starts, ends, strict=True):
        if spans and min(_words(sentence[start:end]), _words(sentence[slice(*spans[-1])])) < _MIN_WORDS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [sentence[start:end].strip() for start, end in spans]


def _words(clause: str) -> int:
    words = re.findall(r"\w+", clause)
    return len([word for word in words if word.lower() not in {"and", "while", "with"}])


class LlmSplitter:
    """An LLM splits, as in the paper; any OpenAI-compatible server. Replies are cached on disk, one file a text.

    Args:
        make_client: makes the ``openai.OpenAI`` client when the first text is not cached.
        model: the model's name on the server.
        endpoint: the server's address, for the name and the cache key; None for OpenAI's own.
        workers: requests in flight.
    """

    def __init__(
        self, make_client: Callable[[], Any], model: str, endpoint: str | None = None, workers: int = 8
    ) -> None:
        self._make_client, self._model, self._workers = make_client, model, workers
        self._client: Any = None
        self.name = f"llm-1:{model}" + (f"@{endpoint}" if endpoint else "")

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        if self._client is None:
            self._client = self._make_client()
        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(self._split, range(len(texts)), texts))

    def _split(self, index: int, text: str) -> list[str]:
        path = cache_dir("split") / f"{content_key(self.name, PROMPT, text)}.json"
        if path.exists():
            return list(json.loads(path.read_text()))
        messages = [{"role": "user", "content": PROMPT.format(text=text)}]
        for _ in range(2):
            reply = self._ask(index, messages)
            pieces = read_pieces(reply)
            if pieces is not None:
                write_atomically(path, json.dumps(pieces))
                return pieces
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": RE_ASK}]
        raise SplitError(
            index,
            f"splitter {self.name} gave no JSON list of strings, twice; the last reply began {reply[:80]!r}. "
            "Try another --set splitter_model, or --set splitter=rule.",
        )

    def _ask(self, index: int, messages: list[dict[str, str]]) -> str:
        import openai

        try:
            answer = self._client.chat.completions.create(model=self._model, messages=messages, temperature=0)
        except openai.OpenAIError as error:
            raise SplitError(index, f"splitter {self.name} could not be asked: {error}") from error
        return str(answer.choices[0].message.content or "")


def openai_client(base_url: str | None) -> Callable[[], Any]:
    """A factory of ``openai.OpenAI`` clients for ``base_url`` (None: OpenAI's own, key from OPENAI_API_KEY)."""

    def make() -> Any:
        import os

        import openai

        # A local server asks for no key, the client for any.
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        try:
            return openai.OpenAI(base_url=base_url, api_key=key)
        except openai.OpenAIError as error:
            raise HarnessError(f"The LLM splitter has no client: {error}. Set OPENAI_API_KEY.") from error

    return make


def read_pieces(reply: str) -> list[str] | None:
    """The strings of a reply that is a JSON list of non-empty strings (a code fence around it is allowed), or None."""
    bare = re.sub(r"^```(?:json)?\s*\n(.*)\n```$", r"\1", reply.strip(), flags=re.DOTALL)
    try:
        read = json.loads(bare)
    except ValueError:
        return None
    if not isinstance(read, list) or not read or not all(isinstance(piece, str) and piece.strip() for piece in read):
        return None
    return [piece.strip() for piece in read]


def write_atomically(path: Any, text: str) -> None:
    """Write a cache file that another process never sees half-written."""
    import os

    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
