"""The training engine: transformers.Trainer with the optimiser step of preference learning.

An objective weighs a whole global step at once, so the step is taken in two halves (SPEED: two passes). Where the
reward gaps are needed before any loss is known and one forward a rank cannot hold the step, a pass without graph over
all micro-batches gives them first; the second pass leaves out the pairs that then count for nothing, and divides the
others evenly among the ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from aligners.objective import Batch, Objective, Step, Weights
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.forward import moved, response_logprobs
from aligners.pairs.memory import named_out_of_memory
from aligners.training.checks import require_finite, require_finite_norm, require_start
from aligners.training.preference_data import PairStream, PreferenceData
from aligners.training.starting import Start, StartingTrainer
from aligners.training.step_log import BeforeTheOptimiser, StepLog
from aligners.training.whole_step import StepPair, divided, gap_noise, gather_step
from harness.protocols.progress import Progress, silent
from harness.protocols.recorder import Recorder

WATCHED = {"loss": ".4f", "margin": ".3f", "accuracy": ".2f", "lr": ".2e"}
"""The metrics shown while training runs, and how they are written."""


def watched(metrics: Mapping[str, float]) -> str:
    """What is shown of a step's ``metrics`` while training runs."""
    return "  ".join(f"{name} {metrics[name]:{form}}" for name, form in WATCHED.items())


class PreferenceTrainer(StartingTrainer):
    """Trains ``model`` on the pairs of ``stream`` with ``objective``.

    ``begin`` is StartingTrainer's. The gaps of the probe pairs that it finds are measured before the first step and
    whenever they are due; that has no effect on training. ``progress`` is called while they are, and after each step,
    when ``callbacks`` get the metrics. ``half``: bfloat16 is computed in.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        *,
        objective: Objective,
        stream: PairStream,
        encoder: Encoder,
        begin: Callable[[Any], Start],
        half: bool,
        recorder: Recorder,
        progress: Progress,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        args.dataloader_num_workers = encoder.possible_workers(args.dataloader_num_workers)
        super().__init__(model, args, objective=objective, begin=begin, stream=stream, callbacks=callbacks)
        self.remove_callback(PrinterCallback)  # ``progress`` shows what it would print
        # The weights of a step sum over all its pairs already: Trainer must not divide by the micro-batches.
        self.model_accepts_loss_kwargs = True
        self.encoder, self.recorder, self.progress, self._half = encoder, recorder, progress, half
        self._pairs: list[StepPair] = []
        self._weights: Weights | None = None
        self._log = StepLog()
        self.add_callback(BeforeTheOptimiser(self._require_finite_losses))

    # -- the optimiser step -------------------------------------------------------------------------------------------

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], int]:
        """All micro-batches of a step on this rank; weighs the step unless its only forward must come first."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.state.global_step == 0:
            self.measure_probes()
        self._weights, self._log = None, StepLog()
        pairs = [pair for batch in batches for pair in batch["pairs"]]
        if not self.objective.needs_reward_gaps:
            rows = iter(self._weigh(pairs))
            batches = [{**batch, "rows": [next(rows) for _ in batch["pairs"]]} for batch in batches]
        elif self.two_passes:
            measured = [self._measure(self.data, batch["pairs"]) for batch in batches]
            gaps, noise = (torch.cat(values).cpu() for values in zip(*measured, strict=True))
            self._log.note_gaps(gaps, noise, self._weigh(pairs, gaps, noise))
            batches = self._second_pass(pairs, len(batches))
        return batches, len(pairs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """This micro-batch's share of the step's loss, sum of weight * loss, times the ranks that are averaged over."""
        pairs: list[Encoded] = inputs["pairs"]
        corrupted = self.encoder.corruption is not None
        out = response_logprobs(model, pairs, self.route, self.args.device, corrupted=corrupted)
        batch = self.data.batch(pairs, out)
        if self.two_passes:
            rows: list[int] = inputs["rows"]
        else:
            gaps, noise = self._gaps_of(batch)
            rows = inputs["rows"] if "rows" in inputs else self._weigh(pairs, gaps.cpu(), noise.cpu())
            self._log.note_gaps(gaps, noise, rows)
            self._require_start(batch, gaps)
        assert self._weights is not None
        device = batch.policy_chosen.device
        beta, weight = (moved(table[rows], device) for table in (self._weights.beta, self._weights.weight))
        losses = self.objective.losses(batch, beta)
        loss = (weight * losses).sum()
        self._log.note_losses(pairs, losses, loss)
        if self.is_deepspeed_enabled:  # its backward is followed by its optimiser
            self._require_finite_losses()
        return cast(Tensor, loss * self.args.world_size)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Trainer's forward and backward of a micro-batch, unless it is empty; running out of memory is named."""
        if not inputs["pairs"]:
            return torch.zeros((), device=self.args.device)
        with named_out_of_memory(inputs["pairs"]):
            return super().training_step(model, inputs, num_items_in_batch)

    @property
    def two_passes(self) -> bool:
        """Whether a pass without graph must give the gaps of a step before its losses are known."""
        return self.objective.needs_reward_gaps and self.args.gradient_accumulation_steps > 1

    def _weigh(self, pairs: Sequence[Encoded], gaps: Tensor | None = None, noise: Tensor | None = None) -> list[int]:
        """Weigh the global step; returns the row of each local pair in the step and its tables of weights."""
        if gaps is not None:
            self._require_finite(gaps, pairs, "reward gap")
        rank, step = self.args.process_index, self.state.global_step
        self._pairs = table = gather_step(pairs, rank, gaps, noise)
        index = torch.tensor([pair.data_index for pair in table])
        self._weights, self.objective_state = self.objective.compute_weights(
            Step(
                size=len(table),
                gap=None if gaps is None else torch.tensor([pair.gap for pair in table], dtype=torch.float64),
                delta=None if self.data.delta is None else self.data.delta[index],
                delta_mean=self.data.delta_mean,
                rank=torch.tensor([pair.rank for pair in table]),
                progress=step / self.state.max_steps,
                rng=torch.Generator().manual_seed((self.args.seed << 32) + step),
                tolerance=max(pair.noise for pair in table),
            ),
            self.objective_state,
        )
        mine = {pair.at: row for row, pair in enumerate(table) if pair.rank == rank}
        return [mine[at] for at in range(len(pairs))]

    def _second_pass(self, pairs: Sequence[Encoded], count: int) -> list[dict[str, Any]]:
        """This rank's ``count`` micro-batches of pairs that count, also of some that other ranks have read."""
        assert self._weights is not None
        rank, world = self.args.process_index, self.args.world_size
        counted = bool(self.is_deepspeed_enabled)  # DeepSpeed steps after so many backwards
        kept, by_length = self._weights.kept.tolist(), self.route != "images"
        plan = divided(self._pairs, kept, ranks=world, slots=count, all_slots=counted, by_length=by_length)
        return [{"pairs": [self._read(pairs, row) for row in rows], "rows": rows} for rows in plan[rank]]

    def _read(self, pairs: Sequence[Encoded], row: int) -> Encoded:
        """The pair of a row of the step, where ``pairs`` are those that this rank has read."""
        pair = self._pairs[row]
        if pair.rank == self.args.process_index:
            return pairs[pair.at]
        return cast(PairStream, self.train_dataset).encoded(pair.data_index)

    @torch.no_grad()
    def _measure(self, data: PreferenceData, pairs: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Reward gaps without a graph, and what rounding may change them by: float64 on the device, shape [n]."""
        with self.compute_loss_context_manager(), named_out_of_memory(pairs):
            out = response_logprobs(self.model_wrapped, pairs, self.route, self.args.device)
        batch = data.batch(pairs, out)
        gaps, noise = self._gaps_of(batch)
        self._require_start(batch, gaps)
        return gaps, noise

    def _gaps_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        gaps = self.objective.gaps(batch).detach().double()
        return gaps, gap_noise(self.objective, batch, half=self._half)

    def _require_start(self, batch: Batch, gaps: Tensor) -> None:
        if self.state.global_step == 0:
            require_start(batch, gaps, half=self._half)

    def _require_finite(self, values: Tensor, pairs: Sequence[Encoded], what: str) -> None:
        require_finite(values, pairs, what, step=self.state.global_step + 1, folder=self.args.output_dir)

    def _require_finite_losses(self) -> None:
        self._log.require_finite(step=self.state.global_step + 1, folder=self.args.output_dir)

    # -- what is reported ---------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Called by Trainer after every optimiser step, on every rank, before a checkpoint is saved."""
        if "loss" not in logs:  # its summary at the end
            self._to_callbacks(logs)
            return
        step, norm = self.state.global_step, float(logs.get("grad_norm") or 0.0)
        require_finite_norm(norm, step=step, folder=self.args.output_dir)
        assert self._weights is not None
        rewards = gather_object(self._log.rewards(self._weights.beta))
        gaps, noise, betas = torch.tensor(rewards, dtype=torch.float64).T
        loss = sum(gather_object([self._log.loss]))
        metrics = {
            "loss": loss,
            "margin": (gaps * betas).mean().item(),
            "accuracy": (gaps > noise).double().mean().item(),  # a gap that is rounding is no preference
            "gap": gaps.mean().item(),
            "beta_mean": self._weights.beta.mean().item(),
            "beta_std": self._weights.beta.std(correction=0).item(),
            "filtered": 1 - self._weights.kept.double().mean().item(),
            "tokens": sum(pair.tokens for pair in self._pairs),
            **self.objective_state,
            **self._weights.metrics,
            "lr": float(logs["learning_rate"]),
            "grad_norm": norm,
        }
        if self.is_world_process_zero():
            self.recorder.log_step(step, metrics)
            self._to_callbacks(metrics)
        self.curve.append({"step": step, **metrics})
        if self.probes.due(step, self.state.max_steps):
            self.measure_probes()
        if self.is_world_process_zero():
            self.progress("training steps", step, self.state.max_steps, watched(metrics))

    def measure_probes(self) -> None:
        """Record the reward gaps of the probe pairs as the model is now."""
        progress = self.progress if self.state.global_step == 0 else silent  # later the steps are the sign of life
        size = self.args.per_device_train_batch_size
        for split, gaps in self.probes.measure(lambda *given: self._measure(*given)[0], size, progress):
            if self.is_world_process_zero():
                self.recorder.log_gaps(self.state.global_step, split, gaps)
                found = torch.tensor([gap for _, gap in gaps], dtype=torch.float64)
                kind = "eval" if split == "heldout" else "probe"
                means = {"gap": found.mean().item(), "accuracy": (found > 0).double().mean().item()}
                self._to_callbacks({f"{kind}_{name}": value for name, value in means.items()})

    def _to_callbacks(self, metrics: dict[str, float]) -> None:
        """Pass ``metrics`` on to the trackers (aligners.training.reporting)."""
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, dict(metrics))

    # -- Trainer's hooks ----------------------------------------------------------------------------------------------

    def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
        return SequentialSampler(cast(PairStream, self.train_dataset))  # the stream is shuffled already

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: Trainer's estimate knows no preference pairs."""
        return 0
