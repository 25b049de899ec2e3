"""A Trainer that begins with the model as it is wrapped for training, and resumes from checkpoints that are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.integrations.deepspeed import deepspeed_load_checkpoint

from aligners.objective import Objective, State
from aligners.pairs.forward import Route
from aligners.pairs.wrapped_layers import plain_names
from aligners.training.checkpoints import keep_newest, read_state, whole_or_absent, write_state
from aligners.training.outcome import samples_of
from aligners.training.preference_data import PairStream, PreferenceData, as_batch
from aligners.training.probes import Probes
from aligners.training.sharding import layout_of, reshard
from harness.models.adapters import of_adapter
from harness.models.loading import load_weights


@dataclass(frozen=True)
class Start:
    """What is known once the model is wrapped for training: of the pairs, of the probe pairs, and how they are run."""

    data: PreferenceData
    probes: Probes
    route: Route


class StartingTrainer(Trainer):
    """Trains ``model`` on the pairs of ``stream`` with ``objective``, whose state its checkpoints hold.

    ``begin`` is called once, in every process, with the model as it is wrapped for training, before a checkpoint is
    read: what it computes is of the start.
    """

    objective: Objective
    objective_state: State
    data: PreferenceData
    probes: Probes
    route: Route

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        *,
        objective: Objective,
        begin: Callable[[Any], Start],
        stream: PairStream,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        super().__init__(model, args, train_dataset=stream, data_collator=as_batch, callbacks=[*callbacks])
        self.objective, self.objective_state = objective, objective.initial_state()
        self.curve: list[dict[str, float]] = []
        self.untrained = frozenset[bytes]()
        self._begin, self._wrapped, self._begun = begin, False, 0.0

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> tuple[Any, Any]:
        """Trainer's, and what is computed with the wrapped model before a checkpoint's weights are read."""
        model, loader = super()._prepare_for_training(max_steps, train_dataloader, None)  # type: ignore[no-untyped-call]
        self._wrapped = True
        start = self._begin(model)
        reshard(model)  # a checkpoint's weights go into the parts
        self.data, self.probes, self.route = start.data, start.probes, start.route
        self.untrained = samples_of(model)
        if resume_from_checkpoint is not None:
            self.restore(Path(resume_from_checkpoint))
        set_seed(self.args.seed)  # whatever was drawn so far
        self._begun = time.monotonic()
        return model, loader

    @property
    def seconds(self) -> float:
        """Since the first step began."""
        return time.monotonic() - self._begun

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Trainer's checkpoint, then the file that marks it as complete; then older ones are removed."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with whole_or_absent(folder):
            super()._save_checkpoint(*args, **kwargs)
            self.accelerator.wait_for_everyone()  # every rank writes a file of its own
            if self.is_world_process_zero():
                of_data, layout = self.data.content_hash, layout_of(self.accelerator)
                write_state(folder, self.objective, of_data, self.objective_state, self.curve, layout)
                keep_newest(folder.parent)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Trainer's; not into a checkpoint of an engine, whose own files there hold the weights that a run resumes."""
        if _internal_call and output_dir and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            return
        super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Trainer's, of an adapter alone where it lies on top of others."""
        if isinstance(self.model, PeftModel):
            state_dict = of_adapter(self.model.state_dict() if state_dict is None else state_dict)
        with plain_names(self.model):  # peft finds an adapter by the names of its modules
            super()._save(output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The checkpoint's weights, once the model is wrapped, in spite of the hub's names that LLaVA's have in files.

        Trainer (transformers 5.23) loads them by name, warns that all are missing, and keeps the base model's.
        """
        if not self._wrapped:
            return  # Trainer's own call comes too early; ``restore`` makes the one that counts
        if not isinstance(self.model, PreTrainedModel) or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        load_weights(self.model, resume_from_checkpoint)

    def restore(self, checkpoint: Path) -> None:
        """Take over the objective's state, weights, optimiser and schedule from ``checkpoint``.

        Raises as ``read_state``.
        """
        of_data, layout = self.data.content_hash, layout_of(self.accelerator)
        self.objective_state, self.curve = read_state(checkpoint, self.objective, of_data, layout)
        if self.is_deepspeed_enabled:
            whole = not isinstance(self.model, PeftModel)  # of an adapter the frozen weights are not kept
            load: Any = deepspeed_load_checkpoint
            load(self.model_wrapped, str(checkpoint), load_module_strict=whole)
        else:
            self._load_from_checkpoint(str(checkpoint), self.model)
        self._load_optimizer_and_scheduler(str(checkpoint))
