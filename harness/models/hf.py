"""Models of the transformers library, with or without a peft adapter, as models under test."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import transformers
from PIL import Image as PilImage
from transformers import LogitsProcessorList

from harness.errors import HarnessError, Transient, UsageError
from harness.models.adapters import PARTED
from harness.models.batching import Layout, Row, choose_layout
from harness.models.decoding import Numbers, also_shaped_by, decoded_by, generate_options, only_given
from harness.models.device_errors import device_lost, out_of_memory
from harness.models.generation import GenerateOptions
from harness.models.loading import device_named, load
from harness.models.processors import FALLBACK, OPENED
from harness.models.prompts import Prompts
from harness.models.settings import BATCH_SIZE, HfSettings, changed
from harness.models.spec import ModelSpec
from harness.models.thinking import Decoder
from harness.models.weights import files_identity
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image, Turn
from harness.protocols.model import Answer, Model
from harness.protocols.probe import Encode, Probe
from harness.protocols.progress import Progress, silent
from harness.util.images import open_image
from harness.util.options import content_key

GIVE_UP = 64
"""Samples in a row that fail alone before the model, not the samples, is taken to be at fault."""


class HfModel(Model):
    """A Model run by transformers on this machine.

    ``key`` is made of the content of the weights and settings, the dtype and the layout, not of paths; ``route`` says
    how answers were computed. ``batch_size`` shrinks when a GPU's memory runs out, and stays so.
    """

    def __init__(
        self,
        model: Any,
        prompts: Prompts,
        *,
        name: str,
        spec: str,
        identity: str,
        layout: Layout,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.name, self.spec, self.batch_size = name, spec, batch_size
        self._model, self._prompts, self._layout = model, prompts, layout
        self._tokenizer = prompts.processor.tokenizer
        self._tokenizer.padding_side = "left"
        self._eos_ids = prompts.stops
        self._decoder = Decoder(prompts)
        self._refused = 0  # samples in a row that could not be answered
        dtype = str(model.dtype).removeprefix("torch.")
        shaped = also_shaped_by(model.generation_config)
        self.key = content_key("hf", identity, dtype, layout.name, *([shaped] if shaped else []))
        self.asked_with = changed(prompts.settings)
        self.route = f"transformers {transformers.__version__}, {model.device.type}, {dtype}, {layout.name}"
        self.route = ", ".join(filter(None, (self.route, prompts.note, shaped)))

    @property
    def network(self) -> Any:
        """The transformers model that answers."""
        return self._model

    @property
    def prompts(self) -> Prompts:
        """How it is asked."""
        return self._prompts

    @classmethod
    def load(
        cls,
        files: ModelSpec,
        *,
        name: str,
        spec: str,
        device: str,
        settings: HfSettings,
        progress: Progress = silent,
    ) -> HfModel:
        """Load ``files`` (kind hf); raises UsageError if transformers cannot."""
        loaded = load(
            files.target,
            device=device_named(device),
            named=spec,
            dtype=settings.dtype,
            attention=None if settings.attention == "auto" else settings.attention,
            quantization=settings.quantization,
            device_map=settings.device_map,
            adapters=files.adapters,
            settings=settings,
            progress=progress,
        )
        loaded.prompts.check()
        model, prompts = loaded.model, loaded.prompts
        identity = files_identity(files.target, model, progress)
        identity = "+".join([identity, *(files_identity(adapter, model) for adapter in files.adapters)])
        if settings.quantization != "none":
            identity += f" {settings.quantization}"
        # Earlier versions made other answers of these.
        identity += "".join(f" {said}" for said in (OPENED, PARTED) if said in prompts.note)
        if FALLBACK in prompts.note:  # the files do not hold the prompt that answers depend on
            identity += f" {loaded.processor.chat_template}"
        if template_ends := sorted(
            prompts.stops - prompts.ends
        ):  # answers were longer where only ``ends`` stopped them
            identity += f" stops {template_ends}"
        if asked := changed(prompts.settings) | _loaded_otherwise(settings):
            identity += f" {content_key(asked)}"
        return cls(
            model,
            prompts,
            name=name,
            spec=spec,
            identity=identity,
            layout=choose_layout(model, prompts),
            batch_size=settings.batch_size,
        )

    def probe(self, encode: Encode | None = None, turns: Sequence[Turn] = ()) -> Probe:
        from harness.models.probe_local import probe_local, probe_tokens

        return probe_tokens(self, encode, turns) if turns else probe_local(self, encode)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers as batches finish. A sample whose text or image cannot be put to the model gets an error for one."""
        options, prompts = self._options(decoding), self._asking(decoding)
        images = {_image_name(s.image): s.image for s in samples if s.image is not None}
        texts: dict[int, str] = {}
        for position, sample in enumerate(samples):
            try:
                texts[position] = prompts.text([sample.turn])
            except (UsageError, ValueError) as error:
                yield position, Answer(None, f"this question cannot be put to the model: {error}")
        made = self._layout.rows([(text, _image_name(samples[position].image)) for position, text in texts.items()])
        rows = [replace(row, position=position) for row, position in zip(made, texts, strict=True)]
        for batch in batches(rows, self.batch_size):
            opened, failed = _open_images({row.image: images[row.image] for row in batch if row.image})
            opened = {name: prompts.shown(image) for name, image in opened.items()}
            yield from ((row.position, Answer(None, failed[row.image])) for row in batch if row.image in failed)
            good = [row for row in batch if row.image not in failed]
            yield from self._answer(good, opened, options)

    def _answer(
        self, rows: Sequence[Row], images: dict[str, PilImage.Image], options: GenerateOptions
    ) -> Iterator[tuple[int, Answer]]:
        """Answer ``rows``, in smaller and smaller pieces while memory runs out."""
        start = 0
        while start < len(rows):
            piece = rows[start : start + self.batch_size]
            started = time.perf_counter()
            tokens = self._tried(piece, images, options)
            if isinstance(tokens, Exception) and out_of_memory(tokens) and len(piece) > 1:
                torch.cuda.empty_cache()
                self.batch_size = len(piece) // 2
                continue
            if isinstance(tokens, Exception):
                yield from self._one_by_one(piece, images, options, tokens)
            else:
                self._refused = 0
                yield from self._read(piece, tokens, (time.perf_counter() - started) / len(piece))
            start += len(piece)

    def _tried(
        self, rows: Sequence[Row], images: dict[str, PilImage.Image], options: GenerateOptions
    ) -> list[list[int]] | Exception:
        """The tokens of ``rows``, or why there are none. Raises HarnessError where no other row can have any either."""
        try:
            return self._tokens(rows, images, options)
        except (RuntimeError, ValueError, TypeError, IndexError, OSError) as error:
            if device_lost(error):
                raise Transient(
                    f"{self.spec}: the device failed ({str(error).splitlines()[0]}), and this process can compute no "
                    "more. What was answered before is kept; run the same command again. If it fails at the same "
                    "place, CUDA_LAUNCH_BLOCKING=1 shows where, and --device cpu answers without the device."
                ) from error
            return error.with_traceback(None)  # its frames hold the batch's tensors, for which there may be no room

    def _one_by_one(
        self,
        rows: Sequence[Row],
        images: dict[str, PilImage.Image],
        options: GenerateOptions,
        error: Exception,
    ) -> Iterator[tuple[int, Answer]]:
        """After ``error`` on a batch: each row alone, so that only what is at fault is an error."""
        for row in rows:
            started = time.perf_counter()
            if len(rows) > 1:
                tokens = self._tried([row], images, options)
                if not isinstance(tokens, Exception):
                    self._refused = 0
                    yield from self._read([row], tokens, time.perf_counter() - started)
                    continue
                error = tokens
            self._refused += 1
            if self._refused > GIVE_UP:  # what was answered before is stored
                raise HarnessError(
                    f"{self.spec}: {GIVE_UP} samples in a row cannot be answered, so the rest is not tried. The last: "
                    f"{type(error).__name__}: {error}"
                )
            what = "out of memory with one sample" if out_of_memory(error) else "the model cannot take this sample"
            yield row.position, Answer(None, f"{what}: {type(error).__name__}: {error}")

    def _tokens(
        self, rows: Sequence[Row], images: dict[str, PilImage.Image], options: GenerateOptions
    ) -> list[list[int]]:
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        drawn = torch.random.fork_rng(devices, enabled=bool(options.config.do_sample))
        with torch.inference_mode(), only_given(self._model), drawn:
            if options.config.do_sample:
                torch.manual_seed(rows[0].position)
            numbers = Numbers()
            watched = replace(options, logits_processor=LogitsProcessorList([*options.logits_processor, numbers]))
            tokens: list[list[int]] = self._layout.generate(rows, images, watched).tolist()
        numbers.require()
        return tokens

    def _read(self, rows: Sequence[Row], tokens: list[list[int]], seconds: float) -> Iterator[tuple[int, Answer]]:
        kept = [self._until_eos(line) for line in tokens]
        for row, line in zip(rows, kept, strict=True):
            cut = not line or line[-1] not in self._eos_ids
            yield row.position, Answer(self._decoder.text(line), tokens=len(line), seconds=seconds, cut=cut)

    def _until_eos(self, tokens: list[int]) -> list[int]:
        """The answer up to and including its end; the rest is padding up to the batch's longest."""
        return tokens[: next((i + 1 for i, token in enumerate(tokens) if token in self._eos_ids), len(tokens))]

    def decodes(self, asked: Decoding) -> Decoding:
        """With the checkpoint's own repetition penalty unless one is asked for, and what else it adds."""
        return decoded_by(asked, self._model.generation_config)

    def _asking(self, decoding: Decoding) -> Prompts:
        try:
            return self._prompts.asking(decoding.system, square=decoding.pad_to_square)
        except UsageError as error:
            raise UsageError(f"--model {self.spec}: {error}") from error

    def _options(self, decoding: Decoding) -> GenerateOptions:
        padding = self._tokenizer.pad_token_id or 0
        return generate_options(decoding, self._model.generation_config, sorted(self._eos_ids), padding)


def _loaded_otherwise(settings: HfSettings) -> dict[str, Any]:
    """Settings of loading that are part of the key where they are not at their default."""
    values = {"attention": settings.attention, "trust_remote_code": settings.trust_remote_code}
    return {name: value for name, value in values.items() if value not in ("auto", False)}


def batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Rows in batches of at most ``size``: images kept whole, so that each is opened once; short prompts first.

    Only an image with more than ``size`` questions is cut.
    """
    groups: dict[tuple[tuple[int, ...], str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.before, row.image or f"text {row.position}"), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], max(len(row.prompt) for row in item[1])))
    batch: list[Row] = []
    for (before, _), group in ordered:
        for start in range(0, len(group), size):
            part = group[start : start + size]
            if batch and (batch[0].before != before or len(batch) + len(part) > size):
                yield batch
                batch = []
            batch = batch + part
    if batch:
        yield batch


def _image_name(image: Image | None) -> str:
    if image is None:
        return ""
    return str(image.path) if image.data is None else hashlib.sha256(image.data).hexdigest()


def _open_images(images: dict[str, Image]) -> tuple[dict[str, PilImage.Image], dict[str, str]]:
    """The images decoded to RGB, and the reasons of those that could not be."""
    opened: dict[str, PilImage.Image] = {}
    failed: dict[str, str] = {}
    for name, image in images.items():
        try:
            opened[name] = open_image(image.read())
        except (OSError, ValueError) as error:
            failed[name] = f"cannot open image {name}: {error}"
    return opened, failed
