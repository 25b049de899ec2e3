"""What the workers of a cluster are asked, and what becomes of it where they are lost: without Ray."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TRIES = 4
"""Workers that may be lost with a unit of work, on nodes that live on, before it is given up."""
LOSSES = 100
"""Workers that may be lost with a unit of work, with or without their nodes, before it is given up."""


@dataclass(frozen=True)
class Loss:
    """A worker was lost: on which node (its id, or of all that it may be), and until when, by the monotonic clock,
    its cluster may find out that the node is gone."""

    nodes: frozenset[str]
    until: float


def too_many(lost: Sequence[Loss], gone: Callable[[Loss], bool], *, tries: int, losses: int = LOSSES) -> bool:
    """Whether ``tries`` workers were ``lost`` on nodes that live on, or ``losses`` in any case.

    ``gone`` says whether a loss was that of a whole node. It is asked when it matters, since a cluster finds out about
    nodes later than about processes.
    """
    if len(lost) >= losses:
        return True
    return len(lost) >= tries and sum(not gone(loss) for loss in lost) >= tries


@dataclass(frozen=True)
class Lost:
    """Why a unit of work is given up."""

    reason: str


@dataclass
class Work:
    """What is to be asked: units that stay whole (their sizes), of which a call has up to ``most`` questions.

    Units that were at a lost worker are asked again alone, so that what ends workers is found. They are given up after
    ``tries`` workers that were lost on nodes that live on: a unit is not to blame for a node that is gone. After
    ``losses`` workers they are given up in any case.
    """

    sizes: Sequence[int]
    most: int = 1
    tries: int = TRIES
    losses: int = LOSSES
    _next: deque[int] = field(init=False)
    _alone: deque[int] = field(default_factory=deque)
    _losses: defaultdict[int, list[Loss]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._next, self._left = deque(range(len(self.sizes))), sum(self.sizes)

    def __len__(self) -> int:
        """Units that are not under way."""
        return len(self._next) + len(self._alone)

    def take(self, workers: int) -> list[int]:
        """The units of the next call; towards the end smaller ones, so that all ``workers`` end at one time."""
        if self._alone:
            return [self._alone.popleft()]
        most = min(self.most, -(-self._left // workers))
        taken = [self._next.popleft()]
        count = self.sizes[taken[0]]
        while self._next and count + self.sizes[self._next[0]] <= most:
            taken.append(self._next.popleft())
            count += self.sizes[taken[-1]]
        self._left -= count
        return taken

    def lost(self, units: Sequence[int], loss: Loss, gone: Callable[[Loss], bool]) -> list[int]:
        """Take back the ``units`` of a lost worker; returns those that are given up (see ``too_many``)."""
        for unit in units:
            self._losses[unit].append(loss)
        given_up = [unit for unit in units if too_many(self._losses[unit], gone, tries=self.tries, losses=self.losses)]
        self._alone.extend(unit for unit in units if unit not in given_up)
        return given_up

    def lost_with(self, unit: int) -> int:
        """How many workers were lost with ``unit``."""
        return len(self._losses[unit])
