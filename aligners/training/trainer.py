"""The training engine: transformers.Trainer with the optimiser step of preference learning.

An objective weighs a whole global step at once, so the step is taken in two halves (SPEED: two passes). Where the
reward gaps are needed before any loss is known and one forward cannot hold the step, a pass without graph over all
micro-batches gives them first; pairs that then count for nothing are left out of the second pass.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainingArguments

from aligners.objective import Batch, Objective, State, Step, Weights
from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import LogProbs, Route, response_logprobs
from aligners.pairs.memory import named_out_of_memory
from harness.errors import HarnessError, UsageError
from harness.models.loading import load_weights
from harness.protocols.recorder import Recorder
from harness.util.paths import cache_dir

STATE_FILE = "objective_state.json"


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


class _Stream(Dataset[Encoded]):
    """The encoded pairs in training order."""

    def __init__(self, data: PreferenceData, order: Sequence[int], encoder: Encoder) -> None:
        self._data, self._order, self._encoder = data, order, encoder

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> Encoded:
        index = self._order[place]
        return self._encoder(index, self._data.pairs[index])


def training_order(pairs: Sequence[Pair], *, batch_size: int, epochs: int, seed: int) -> list[int]:
    """Indices into ``pairs`` in the order of training: whole optimiser steps only, one after the other.

    Seeded permutations of all pairs follow each other; the seed alone decides which pairs share a step. Inside a step
    they are sorted by length, so that micro-batches need little padding; that changes no step.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = max(1, epochs * len(pairs) // batch_size)
    stream: list[int] = []
    while len(stream) < steps * batch_size:
        stream += torch.randperm(len(pairs), generator=generator).tolist()
    chunks = (stream[step * batch_size : (step + 1) * batch_size] for step in range(steps))
    return [
        i for chunk in chunks for i in sorted(chunk, key=lambda i: (len(pairs[i].chosen) + len(pairs[i].rejected), i))
    ]


class PreferenceTrainer(Trainer):
    """Trains ``model`` on ``data`` with ``objective``.

    ``order`` is the result of training_order. ``probes`` maps a split to pairs whose gaps are measured (no effect on
    training), every ``probe_every`` steps. ``progress(steps done, all)`` is called after each step.
    """

    objective: Objective
    objective_state: State

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        *,
        objective: Objective,
        data: PreferenceData,
        order: Sequence[int],
        encoder: Encoder,
        route: Route,
        recorder: Recorder,
        probes: Mapping[str, PreferenceData],
        probe_every: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        super().__init__(model, args, train_dataset=_Stream(data, order, encoder), data_collator=_as_batch)
        # The weights of a step sum over all its pairs already: Trainer must not divide by the micro-batches.
        self.model_accepts_loss_kwargs = True
        self.objective, self.objective_state = objective, objective.initial_state()
        self.data, self.encoder, self.route = data, encoder, route
        self.recorder, self.probes, self.probe_every = recorder, probes, probe_every
        self.report = progress
        self._weights: Weights | None = None
        self._step_loss = 0.0
        self._start_gap = 0.0
        self.curve: list[dict[str, float]] = []
        self._rewards: list[tuple[float, float]] = []
        self._encoded_probes: dict[str, list[Encoded]] = {}

    # -- the optimiser step -------------------------------------------------------------------------------------------

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], int]:
        """All micro-batches of a step on this rank; weighs the step unless its only forward must come first."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.state.global_step == 0:
            self.probe()
        self._weights, self._step_loss, self._rewards = None, 0.0, []
        pairs = [pair for batch in batches for pair in batch["pairs"]]
        if not self.objective.needs_reward_gaps:
            rows = iter(self._weigh(pairs, None))
            batches = [{**batch, "rows": [next(rows) for _ in batch["pairs"]]} for batch in batches]
        elif self.two_passes:
            gaps = torch.cat([self._gaps(self.data, batch["pairs"]) for batch in batches])
            row_list = self._weigh(pairs, gaps)
            self._note_rewards(gaps, row_list)
            rows = iter(row_list)
            batches = [self._counting(batch["pairs"], [next(rows) for _ in batch["pairs"]]) for batch in batches]
        return batches, len(pairs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """This micro-batch's share of the step's loss, sum of weight * loss, times the ranks that are averaged over."""
        pairs: list[Encoded] = inputs["pairs"]
        corrupted = self.encoder.corruption is not None
        out = response_logprobs(model, pairs, self.route, self.args.device, corrupted=corrupted)
        batch = self._batch(self.data, pairs, out)
        gaps = self.objective.gaps(batch).detach().double().cpu()
        rows = inputs["rows"] if "rows" in inputs else self._weigh(pairs, gaps)
        if not self.two_passes:
            self._note_rewards(gaps, rows)
            self._require_start(batch, gaps)
        assert self._weights is not None
        beta, weight = (
            table[rows].to(batch.policy_chosen.device) for table in (self._weights.beta, self._weights.weight)
        )
        losses = self.objective.losses(batch, beta)
        self._require_finite(losses, pairs, "loss")
        loss = (weight * losses).sum()
        self._step_loss += loss.item()
        return cast(Tensor, loss * self.args.world_size)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Trainer's forward and backward of a micro-batch; running out of memory is named."""
        with named_out_of_memory(inputs["pairs"]):
            return super().training_step(model, inputs, num_items_in_batch)

    @property
    def two_passes(self) -> bool:
        """Whether a pass without graph must give the gaps of a step before its losses are known."""
        split = self.args.gradient_accumulation_steps > 1 or self.args.world_size > 1
        return self.objective.needs_reward_gaps and split

    def _weigh(self, pairs: Sequence[Encoded], gaps: Tensor | None) -> list[int]:
        """Weigh the global step; returns the row of each local pair in the tables of weights.

        Rows stand in the order of the data set's index, so they depend on neither ranks nor micro-batches.
        """
        if gaps is not None:
            self._require_finite(gaps, pairs, "reward gap")
        rank = self.args.process_index
        values = gaps.tolist() if gaps is not None else [0.0] * len(pairs)
        table = [(pair.index, rank, place, gap) for place, (pair, gap) in enumerate(zip(pairs, values, strict=True))]
        table = sorted(gather_object(table))
        index = torch.tensor([row[0] for row in table])
        step = self.state.global_step
        self._weights, self.objective_state = self.objective.compute_weights(
            Step(
                size=len(table),
                gap=None if gaps is None else torch.tensor([row[3] for row in table], dtype=torch.float64),
                delta=None if self.data.delta is None else self.data.delta[index],
                delta_mean=self.data.delta_mean,
                rank=torch.tensor([row[1] for row in table]),
                progress=step / self.state.max_steps,
                rng=torch.Generator().manual_seed((self.args.seed << 32) + step),
            ),
            self.objective_state,
        )
        mine = {place: row for row, (_, owner, place, _) in enumerate(table) if owner == rank}
        return [mine[place] for place in range(len(pairs))]

    def _counting(self, pairs: Sequence[Encoded], rows: Sequence[int]) -> dict[str, Any]:
        """The micro-batch without the pairs of weight 0; one stays, since every rank must take part in the backward."""
        assert self._weights is not None
        kept = [n for n, row in enumerate(rows) if self._weights.kept[row]] or [0]
        return {"pairs": [pairs[n] for n in kept], "rows": [rows[n] for n in kept]}

    @torch.no_grad()
    def _gaps(self, data: PreferenceData, pairs: Sequence[Encoded]) -> Tensor:
        """Reward gaps without a graph, float64 on the CPU, shape [n]."""
        with self.compute_loss_context_manager(), named_out_of_memory(pairs):
            out = response_logprobs(self.model_wrapped, pairs, self.route, self.args.device)
        batch = self._batch(data, pairs, out)
        gaps = self.objective.gaps(batch).double().cpu()
        self._require_start(batch, gaps)
        return gaps

    def _batch(self, data: PreferenceData, pairs: Sequence[Encoded], policy: LogProbs) -> Batch:
        index = [pair.index for pair in pairs]
        reference = None if data.reference is None else data.reference[index].to(policy.chosen)
        return Batch(
            policy_chosen=policy.chosen,
            policy_rejected=policy.rejected,
            ref_chosen=None if reference is None else reference[:, 0],
            ref_rejected=None if reference is None else reference[:, 1],
            chosen_length=policy.chosen_length,
            rejected_length=policy.rejected_length,
            corrupted_chosen=policy.corrupted,
            ref_corrupted_chosen=None if reference is None or policy.corrupted is None else reference[:, 2],
            columns={name: values[index].to(policy.chosen) for name, values in data.columns.items()},
        )

    def _note_rewards(self, gaps: Tensor, rows: Sequence[int]) -> None:
        assert self._weights is not None
        self._rewards += zip(gaps.tolist(), self._weights.beta[list(rows)].tolist(), strict=True)

    def _require_start(self, batch: Batch, gaps: Tensor) -> None:
        """Before the first step the policy is the reference: gaps beyond rounding betray a cache of other weights."""
        if self.state.global_step or batch.ref_chosen is None:
            return
        far = gaps.abs().max().item()
        size = max(batch.policy_chosen.abs().max().item(), batch.policy_rejected.abs().max().item())
        half = self.args.bf16
        allowed = 1e-2 * size if half else 1e-3 + 1e-6 * size
        self._start_gap = max(self._start_gap, far)
        if far > allowed:
            raise HarnessError(
                f"the policy does not start at the reference: before the first step the largest reward gap is "
                f"{far:.3g} nats, expected at most {allowed:.3g}. The reference log-probabilities belong to other "
                f"weights or data: remove {cache_dir('reference')} and run again."
            )

    def _require_finite(self, values: Tensor, pairs: Sequence[Encoded], what: str) -> None:
        bad = [pair.id for pair, fine in zip(pairs, values.isfinite().tolist(), strict=True) if not fine]
        if bad:
            raise HarnessError(
                f"training stopped at step {self.state.global_step + 1}: the {what} of pairs {', '.join(bad)} is "
                f"not finite. The last good checkpoint is kept in {self.args.output_dir}. Lower lr or check the pairs."
            )

    # -- what is reported ---------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Called by Trainer after every optimiser step, on every rank, before a checkpoint is saved."""
        if "loss" not in logs:  # its summary at the end
            return
        step, norm = self.state.global_step, float(logs.get("grad_norm") or 0.0)
        if not math.isfinite(norm):
            raise HarnessError(
                f"training stopped at step {step}: the gradient's norm is {norm}. The last good checkpoint is kept in "
                f"{self.args.output_dir}. Lower lr."
            )
        gaps, betas = torch.tensor(gather_object(self._rewards), dtype=torch.float64).T
        loss = sum(gather_object([self._step_loss]))
        assert self._weights is not None
        metrics = {
            "loss": loss,
            "margin": (gaps * betas).mean().item(),
            "accuracy": (gaps > 0).double().mean().item(),
            "gap": gaps.mean().item(),
            "beta_mean": self._weights.beta.mean().item(),
            "beta_std": self._weights.beta.std(correction=0).item(),
            "filtered": 1 - self._weights.kept.double().mean().item(),
            **self.objective_state,
            **self._weights.metrics,
            "lr": float(logs["learning_rate"]),
            "grad_norm": norm,
        }
        if self.is_world_process_zero():
            self.recorder.log_step(step, metrics)
        self.curve.append({"step": step, **metrics})
        if step == self.state.max_steps or (self.probe_every and step % self.probe_every == 0):
            self.probe()
        if self.report and self.is_world_process_zero():
            self.report(step, self.state.max_steps)

    def probe(self) -> None:
        """Record the reward gaps of the probe pairs as the model is now."""
        for split, data in self.probes.items():
            if split not in self._encoded_probes:
                self._encoded_probes[split] = [self.encoder(i, pair) for i, pair in enumerate(data.pairs)]
            pairs, size = self._encoded_probes[split], self.args.per_device_train_batch_size
            chunks = [pairs[start : start + size] for start in range(0, len(pairs), size)]
            gaps = torch.cat([self._gaps(data, chunk) for chunk in chunks]).tolist()
            if self.is_world_process_zero():
                found = [(pair.id, gap) for pair, gap in zip(pairs, gaps, strict=True)]
                self.recorder.log_gaps(self.state.global_step, split, found)

    # -- Trainer's hooks ----------------------------------------------------------------------------------------------

    def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
        return SequentialSampler(cast(_Stream, self.train_dataset))  # the stream is shuffled already

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: Trainer's estimate knows no preference pairs."""
        return 0

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's checkpoint, then the objective's state: the file that marks a checkpoint as complete."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        (folder / STATE_FILE).unlink(missing_ok=True)
        try:
            super()._save_checkpoint(*args, **kwargs)
            if self.is_world_process_zero():
                kept = {"objective": self._identity(), "state": dict(self.objective_state), "curve": self.curve}
                (folder / STATE_FILE).write_text(json.dumps(kept))
        # safetensors and torch raise their own errors for a full disk
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            before = last_checkpoint(folder.parent)
            kept_whole = f"{before} is whole" if before else "there is none before it"
            raise HarnessError(
                f"{folder} could not be saved ({error}); {kept_whole}. Free the disk and run the same command again: "
                "it goes on from there."
            ) from error

    def _identity(self) -> dict[str, Any]:
        return {"name": self.objective.name, **dataclasses.asdict(self.objective)}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The checkpoint's weights, in spite of the hub's names that save_pretrained gives LLaVA's.

        Trainer (transformers 5.23) loads them by name, warns that all are missing, and keeps the base model's.
        """
        if not isinstance(self.model, PreTrainedModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        load_weights(self.model, resume_from_checkpoint)

    def restore(self, checkpoint: Path) -> None:
        """Take over the objective's state from ``checkpoint``; Trainer restores the rest.

        Raises UsageError if another objective, or the same with other settings, made it.
        """
        kept = json.loads((checkpoint / STATE_FILE).read_text())
        if kept.get("objective") != self._identity():
            raise UsageError(
                f"{checkpoint} is of {kept.get('objective', 'an unknown objective')}, not of {self._identity()}. "
                "Start over with --fresh, or give the settings it was made with."
            )
        self.objective_state, self.curve = kept["state"], kept["curve"]


def _as_batch(pairs: list[Encoded]) -> dict[str, list[Encoded]]:
    return {"pairs": pairs}


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under ``folder``."""
    complete = [file.parent for file in folder.glob(f"checkpoint-*/{STATE_FILE}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
