"""Work that is divided among the processes of a run, and files that worker processes read ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import DataError, HarnessError, UsageError
from harness.util.distributed import rank_and_world_size

T = TypeVar("T")
R = TypeVar("R")


def share(count: int) -> list[int]:
    """Which of ``count`` batches this process works on, one a round; the same number of rounds in every process.

    In a round the processes take neighbours, first to last and then last to first, so that batches sorted by length
    are balanced. Where the last round has too few, some do its last batch too: a sharded model runs in all or in none.
    """
    rank, world = rank_and_world_size()
    rounds = -(-count // world)
    places = (rank, world - 1 - rank)
    return [min(number * world + places[number % 2], count - 1) for number in range(rounds)]


def in_rounds(count: int, work: Callable[[int], R]) -> Iterator[tuple[int, R]]:
    """The number of each of ``count`` batches and what ``work`` makes of it, round by round, in every process.

    Every process calls ``work`` with its ``share``, in order. What is a HarnessError in one is raised in all.
    """
    for number in share(count):
        found = dict(_gathered(number, outcome(work, number)))
        yield from ((each, found[each].value) for each in sorted(found))


def _gathered(number: int, mine: Outcome[R]) -> list[tuple[int, Outcome[R]]]:
    if rank_and_world_size()[1] == 1:
        return [(number, mine)]
    from accelerate.utils import gather_object

    gathered: list[tuple[int, Outcome[R]]] = gather_object([(number, mine)])
    return gathered


def agreed(value: T) -> T:
    """The first process's ``value``, in every process."""
    if rank_and_world_size()[1] == 1:
        return value
    from accelerate.utils import broadcast_object_list

    of_first: list[T] = broadcast_object_list([value])
    return of_first[0]


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of a call, as it can be sent to another process: its result, or the kind and text of its error."""

    made: R | None
    kind: type[HarnessError] | None = None
    text: str = ""
    error: HarnessError | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "error": None}  # an error with arguments of its own could not be made again there

    @property
    def value(self) -> R:
        """The result. Raises the error."""
        if self.kind is not None:
            raise self.error or self.kind(self.text)
        return self.made  # type: ignore[return-value]


def outcome(work: Callable[[T], R], item: T) -> Outcome[R]:
    """What comes of ``work``; only a HarnessError is kept, any other error is raised here."""
    try:
        return Outcome(work(item))
    except HarnessError as error:
        kind = next(each for each in (DataError, UsageError, HarnessError) if isinstance(error, each))
        return Outcome(None, kind, str(error), error)


class _Items(Generic[T, R]):
    """A data set as torch's loader reads it."""

    def __init__(self, items: Sequence[T], read: Callable[[T], R]) -> None:
        self._items, self._read = items, read

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int) -> Outcome[R]:
        return outcome(self._read, self._items[place])


def read_ahead(items: Sequence[T], read: Callable[[T], R], workers: int) -> Iterator[R]:
    """``read`` of each of ``items``, in order, by ``workers`` processes ahead of its use; 0: here, when it is wanted.

    Processes are forked: ``read`` may use no model on a GPU. Raises the HarnessError of the item it is of.
    """
    if not workers or len(items) < 2:
        yield from map(read, items)
        return
    import torch
    from torch.utils.data import DataLoader

    loader: Iterable[Outcome[R]] = DataLoader(
        _Items(items, read),  # type: ignore[arg-type]
        batch_size=None,
        num_workers=min(workers, len(items)),
        multiprocessing_context="fork",  # Python 3.14 would start them otherwise, and could not send them ``read``
        generator=torch.Generator(),  # else the loader draws from the run's own random numbers
    )
    for each in loader:
        yield each.value
