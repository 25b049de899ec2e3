"""Splitting by an LLM, as in the paper: any OpenAI-compatible endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from aligners.pair_hardness.splitter import SPLITTERS, SplitError, Splitter
from harness.chat.client import ChatClient
from harness.chat.endpoint import default_url, url_fault, without_secrets
from harness.chat.request import Caller, ChatReply, ChatRequest
from harness.chat.settings import ChatSettings
from harness.errors import UsageError
from harness.protocols.conversation import Turn
from harness.protocols.progress import Progress, silent
from harness.protocols.reasoning import spoken
from harness.util.caches import discard
from harness.util.files import read_json, write_text
from harness.util.options import content_key
from harness.util.paths import cache_dir

PROMPT = """\
Break the description below into short statements. Each statement makes one claim about the picture, can be read on \
its own, and keeps the words of the description as far as possible. Leave nothing out, add nothing, and keep the order.
Answer with a JSON list of strings and nothing else.

Description:
{text}"""

RE_ASK = "That was not a JSON list of strings. Send the list alone, with no other text."

SETTINGS = ChatSettings(concurrency=8, timeout=600.0, tries=3, allow_other_model=True)
"""A model on a machine of one's own may be slow, and may call itself what it likes."""
Conversations = Mapping[int, tuple[Turn, ...]]
"""What is asked about a text, by the text's index."""


class LlmSplitter(Splitter):
    """An LLM splits. Replies are cached on disk, one file a text, so that a text is asked about once.

    Args:
        model: the model's name at the endpoint.
        base_url: the endpoint's address, for the name and the cache key; None for ``$OPENAI_BASE_URL`` or OpenAI's own.

    Raises UsageError for an address that is none, and when the first text is asked about without a key that the
    endpoint needs (``api_key_env``).
    """

    needs_model = True

    def __init__(self, model: str = "", base_url: str | None = None) -> None:
        super().__init__(model, base_url)
        self.name = f"llm-1:{model}" + (f"@{base_url}" if base_url else "")
        if base_url and (fault := url_fault(base_url)):
            raise UsageError(
                f"--set splitter_base_url={without_secrets(base_url)}: expected a base URL like "
                f"http://127.0.0.1:8000/v1; {fault}."
            )

    @cached_property
    def _client(self) -> ChatClient:
        caller = Caller("splitter", f"--set splitter=llm splitter_model={self.model}", "splitter_")
        settings = replace(SETTINGS, api_key_env=self.api_key_env)
        return ChatClient(self.model, self.base_url or default_url(), caller, settings)

    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        files = [cache_dir("split") / f"{content_key(self.name, PROMPT, text)}.json" for text in texts]
        first = {file: index for index, file in reversed(list(enumerate(files)))}  # equal texts are asked about once
        todo = {i: (Turn("user", (PROMPT.format(text=texts[i]),)),) for file, i in first.items() if not _is_kept(file)}
        open_ = self._ask(dict(sorted(todo.items())), files, progress)
        self._ask(open_, files, progress, last=True)
        return [list(read_json(file)) for file in files]

    def _ask(self, todo: Conversations, files: Sequence[Path], progress: Progress, last: bool = False) -> Conversations:
        """Ask and store what can be read; returns the conversations to continue, where a reply is no list.

        All are asked before the first failure is raised: what was paid for is kept.
        """
        indices, again = list(todo), dict[int, tuple[Turn, ...]]()
        failed: dict[int, str] = {}
        replies = self._client.ask([ChatRequest(messages) for messages in todo.values()])
        for done, (position, reply) in enumerate(replies, start=1):
            index = indices[position]
            pieces = None if reply.text is None else read_pieces(spoken(reply.text).text)
            if pieces is not None:
                write_text(files[index], json.dumps(pieces))
            elif reply.text is None or last:
                failed[index] = self._reason(reply)
            else:
                again[index] = (*todo[index], Turn("assistant", (reply.text,)), Turn("user", (RE_ASK,)))
            progress("splitting", done, len(indices))
        if failed:
            index = min(failed)
            raise SplitError(index, failed[index])
        return again

    def _reason(self, reply: ChatReply) -> str:
        if reply.text is None:
            return f"splitter {self.name} could not be asked: {reply.error}"
        return (
            f"splitter {self.name} gave no JSON list of strings, twice; the last reply began {reply.text[:80]!r}. "
            "Try another --set splitter_model, or --set splitter=rule."
        )


def _is_kept(file: Path) -> bool:
    """Whether the pieces of a text are in ``file``; what holds none is thrown away."""
    if not file.exists():
        return False
    try:
        pieces = read_pieces(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pieces = None
    if pieces is None:
        discard(file, "it holds no list of strings")
    return pieces is not None


def read_pieces(reply: str) -> list[str] | None:
    """The strings of a reply that is a JSON list of non-empty strings (a code fence around it is allowed), or None."""
    bare = reply.strip()
    fence, _, body = bare.partition("\n")
    if fence.rstrip() in ("```", "```json") and body.endswith("\n```"):
        bare = body.removesuffix("```")
    try:
        read = json.loads(bare)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, list) or not read or not all(isinstance(piece, str) and piece.strip() for piece in read):
        return None
    return [piece.strip() for piece in read]


SPLITTERS.register("llm", LlmSplitter)
