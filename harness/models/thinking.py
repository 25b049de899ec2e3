"""What a model said, as text in which thoughts and answer can be kept apart."""

from __future__ import annotations

from collections.abc import Sequence

from harness.models.prompts import Prompts
from harness.protocols.conversation import Turn
from harness.protocols.reasoning import BEGINS, is_mark, spoken


class Decoder:
    """From generated tokens to the raw text of an answer.

    Special tokens are left out, but for those that mark thoughts: without them thoughts would read like an answer.
    Thoughts that the template of the prompt begins have their mark put before them for the same reason.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._tokenizer = prompts.processor.tokenizer
        begun = BEGINS.search(prompts.text([Turn("user", ("?",))]).rstrip())
        self._begun = begun[0] + "\n" if begun else ""
        self._marks = [token for token in self._tokenizer.all_special_tokens if is_mark(token)]

    def text(self, tokens: Sequence[int]) -> str:
        """The answer of these tokens."""
        plain: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        if not self._marks:
            return self._begun + plain.strip()
        whole: str = self._tokenizer.decode(tokens, skip_special_tokens=False)
        if spoken(whole).text == whole:
            return self._begun + plain.strip()
        for token in set(self._tokenizer.all_special_tokens).difference(self._marks):
            whole = whole.replace(token, "")
        return self._begun + whole.strip()
