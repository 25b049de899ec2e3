"""What is known of the pairs before training, and the stream the trainer reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from aligners.objective import Batch, Objective
from aligners.pairs.corruption import kinds_of
from aligners.pairs.data import Pair, PairSet, content_hash, load_pairs
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import LogProbs, moved
from aligners.training.config import AlignConfig
from harness.errors import DataError, UsageError
from harness.protocols.progress import Progress
from harness.util.options import content_key


@dataclasses.dataclass(frozen=True)
class PreferenceData:
    """Pairs with what is known of them before training; row i of every table is pair i.

    ``reference``: [N, 2] (chosen, rejected), [N, 3] with the chosen response given the corrupted image, None if the
    objective needs none. ``delta``: [N] or None.
    """

    pairs: Sequence[Pair]
    reference: Tensor | None
    delta: Tensor | None = None
    delta_mean: float = 0.0
    columns: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    @property
    def content_hash(self) -> str:
        """Hash of the pairs, in order, and of the columns."""
        return content_key(content_hash(self.pairs), {name: table.tolist() for name, table in self.columns.items()})

    def batch(self, pairs: Sequence[Encoded], policy: LogProbs) -> Batch:
        """What an objective reads of ``pairs``, of which the model gives ``policy``."""
        index = [pair.index for pair in pairs]
        reference = None if self.reference is None else _beside(self.reference[index], policy.chosen)
        return Batch(
            policy_chosen=policy.chosen,
            policy_rejected=policy.rejected,
            ref_chosen=None if reference is None else reference[:, 0],
            ref_rejected=None if reference is None else reference[:, 1],
            chosen_length=policy.chosen_length,
            rejected_length=policy.rejected_length,
            corrupted_chosen=policy.corrupted,
            ref_corrupted_chosen=None if reference is None or policy.corrupted is None else reference[:, 2],
            columns={name: _beside(values[index], policy.chosen) for name, values in self.columns.items()},
        )


def _beside(values: Tensor, like: Tensor) -> Tensor:
    return moved(values.to(like.dtype), like.device)


class PairStream(Dataset[Encoded]):
    """The encoded pairs in training order."""

    def __init__(self, pairs: Sequence[Pair], order: Sequence[int], encoder: Encoder) -> None:
        self._pairs, self._order, self._encoder = pairs, order, encoder

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Encoded:
        return self.encoded(self._order[position])

    def encoded(self, index: int) -> Encoded:
        """The pair of ``index``, whichever process reads it in the order of training."""
        return self._encoder(index, self._pairs[index])


def training_pairs(config: AlignConfig, progress: Progress, needs: frozenset[str] = frozenset()) -> PairSet:
    """The pairs that ``config`` names, read as it says.

    Raises DataError, also for a pair without an image where an objective ``needs`` corrupted ones.
    """
    read = load_pairs(config.data, config.limit, skip_bad=config.skip_bad_rows, reading=config, progress=progress)
    without = [pair.id for pair in read.pairs if not pair.images]
    if without and kinds_of(needs):
        raise DataError(
            f"{config.data}: {len(without)} pairs have no image (first: {without[0]}), and {config.method} trains on "
            "corrupted images. Leave such pairs out, or take another method."
        )
    return read


def as_batch(pairs: list[Encoded]) -> dict[str, list[Encoded]]:
    """A micro-batch as Trainer passes it around."""
    return {"pairs": pairs}


def data_columns(objective: Objective, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """The data columns the objective needs, float64 [N] each. Raises UsageError naming a pair that lacks one."""
    names = sorted(need.partition(":")[2] for need in objective.needs if need.startswith("column:"))
    columns = {}
    for name in names:
        try:
            columns[name] = torch.tensor([float(pair.columns[name]) for pair in pairs], dtype=torch.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"aligner {objective.name} needs a number in the data column {name!r} ({error})."
            ) from error
    return columns
