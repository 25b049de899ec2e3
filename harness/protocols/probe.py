"""A probe: one question about one image, followed from its prompt to the end of an answer before anything is asked.

What is compared with what: the prompt's tokens as training, generation and a server have them, where an answer ends and
where generation stops, and whether another image makes another answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from harness.errors import UsageError
from harness.protocols.conversation import Turn

State = Literal["ok", "note", "warning", "bad"]
"""Of a check: passed, could not be made, worth a word, or a reason to stop."""
VERSION = 1
"""Of what is asked and looked at: stored probes of another version are not compared with."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found, in words."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class Trained:
    """A conversation as training has it: token ids of the prompt and of the response with its end."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]


Encode = Callable[[Any, Sequence[Turn]], Trained]
"""How training encodes a conversation with the prompts of a model; a UsageError says why it cannot."""


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Args:
        prompt: the prompt as its tokens read, a run of image tokens as one with its length.
        tokens: how many tokens the prompt has, by who counted: training, generation (by layout), server.
        image_tokens: how many of them stand for the image; None where that cannot be seen.
        end: the token that ends an answer; "" where that cannot be seen.
        digest: of the prompt's tokens, "" where there are none here.
        checks: in the order in which they were made.
        complete: it need not be done again; an endpoint that did not answer is asked anew.
        seconds: what it took.
    """

    prompt: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    image_tokens: int | None = None
    end: str = ""
    digest: str = ""
    checks: tuple[Check, ...] = ()
    complete: bool = True
    seconds: float = 0.0

    def of_state(self, state: State) -> list[str]:
        """What was found, of the checks in that state."""
        return [check.detail for check in self.checks if check.state == state]

    @property
    def record(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            "version": VERSION,
            "state": self.state,
            **asdict(self),
            "checks": [asdict(check) for check in self.checks],
        }

    @property
    def state(self) -> str:
        """The worst of its checks; a check that could not be made does not count."""
        return worst(*(check.state for check in self.checks))

    def require(self, named: str) -> None:
        """Raise UsageError with what differs, if something does; ``named`` is the model as the user wrote it."""
        if faults := self.of_state("bad"):
            raise UsageError(
                f"{named}: {'; '.join(faults)}. Nothing was trained or asked. `doctor --model` shows the whole probe; "
                "--no-probe leaves it out."
            )


def worst(*states: str) -> str:
    """The worst of some states; one that says that a check could not be made does not count."""
    return next((state for state in ("bad", "warning") if state in states), "ok")
