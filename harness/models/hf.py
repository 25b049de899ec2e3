"""Models of the transformers library, with or without a peft adapter, as models under test."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image as PilImage
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    BitsAndBytesConfig,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from harness.errors import HarnessError, UsageError
from harness.models.batching import GenerateOptions, Layout, Row, choose_layout
from harness.models.spec import BATCH_SIZE, HfSettings, ModelSpec
from harness.protocols.benchmark import Decoding, Image, Sample
from harness.protocols.model import Answer, Model
from harness.util.distributed import local_rank
from harness.util.options import content_key

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
SETTINGS = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "*processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template*",
    "vocab*",
    "merges.txt",
)
GIVE_UP = 64
"""Samples in a row that fail alone before the model, not the samples, is taken to be at fault."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class EosBias(LogitsProcessor):
    """Adds a constant to the end-of-sequence logits: answers get shorter if it is positive."""

    def __init__(self, eos_ids: Sequence[int], bias: float) -> None:
        self._eos_ids, self._bias = list(eos_ids), bias

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[:, self._eos_ids] += self._bias
        return scores


class HfModel(Model):
    """A Model run by transformers on this machine.

    ``key`` is made of the content of the weights and settings, the dtype and the layout, not of paths; ``route`` says
    how answers were computed. ``batch_size`` shrinks when a GPU's memory runs out, and stays so.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str,
        spec: str,
        identity: str,
        layout: Layout,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.name, self.spec, self.batch_size = name, spec, batch_size
        self._model, self._processor, self._layout = model, processor, layout
        self._eos_ids = _eos_ids(model, processor)
        self._refused = 0  # samples in a row that could not be answered
        dtype = str(model.dtype).removeprefix("torch.")
        self.key = content_key("hf", identity, dtype, layout.name)
        self.route = f"transformers {transformers.__version__}, {model.device.type}, {dtype}, {layout.name}"

    @classmethod
    def load(cls, files: ModelSpec, *, name: str, spec: str, device: str, settings: HfSettings) -> HfModel:
        """Load ``files`` (kind hf); raises UsageError if transformers cannot."""
        place = _device(device)
        options = _loading(settings, place, spec)
        try:
            model: Any = AutoModelForImageTextToText.from_pretrained(files.target, **options)
            processor: Any = AutoProcessor.from_pretrained(files.target)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise UsageError(f"{spec}: transformers cannot load {files.target}: {error}") from error
        if getattr(processor, "chat_template", None) is None:
            raise UsageError(f"{spec}: the processor of {files.target} has no chat template; save one with it.")
        identity = weights_identity(files.target, model)
        if files.adapter:
            model = _with_adapter(model, files.adapter)
            identity += "+" + weights_identity(files.adapter, model)
        processor.tokenizer.padding_side = "left"
        if settings.quantization != "none":
            identity += f" {settings.quantization}"
        elif not settings.device_map:
            model = model.to(place)
        layout = choose_layout(model, processor)
        size = settings.batch_size
        return cls(model.eval(), processor, name=name, spec=spec, identity=identity, layout=layout, batch_size=size)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers as batches finish. A sample whose image cannot be opened gets an error for an answer."""
        options = self._options(decoding)
        images = {_image_name(s.image): s.image for s in samples if s.image is not None}
        rows = self._layout.rows([(s.prompt, _image_name(s.image)) for s in samples])
        for batch in batches(rows, self.batch_size):
            opened, failed = _open_images({row.image: images[row.image] for row in batch if row.image})
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
            try:
                tokens = self._tokens(piece, images, options)
            except (RuntimeError, ValueError, TypeError, IndexError, OSError) as error:
                if _out_of_memory(error) and len(piece) > 1:
                    torch.cuda.empty_cache()
                    self.batch_size = len(piece) // 2
                    continue
                yield from self._one_by_one(piece, images, options, error)
                start += len(piece)
                continue
            self._refused = 0
            seconds = (time.perf_counter() - started) / len(piece)
            yield from self._read(piece, tokens, seconds)
            start += len(piece)

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
                try:
                    tokens = self._tokens([row], images, options)
                except (RuntimeError, ValueError, TypeError, IndexError, OSError) as own:
                    error = own
                else:
                    self._refused = 0
                    yield from self._read([row], tokens, time.perf_counter() - started)
                    continue
            self._refused += 1
            if self._refused > GIVE_UP:  # what was answered before is stored
                raise HarnessError(
                    f"{self.spec}: {GIVE_UP} samples in a row cannot be answered, so the rest is not tried. The last: "
                    f"{type(error).__name__}: {error}"
                )
            what = "out of memory with one sample" if _out_of_memory(error) else "the model cannot take this sample"
            yield row.position, Answer(None, f"{what}: {type(error).__name__}: {error}")

    def _tokens(
        self, rows: Sequence[Row], images: dict[str, PilImage.Image], options: GenerateOptions
    ) -> list[list[int]]:
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices, enabled=bool(options.config.do_sample)):
            if options.config.do_sample:
                torch.manual_seed(rows[0].position)
            return self._layout.generate(rows, images, options).tolist()

    def _read(self, rows: Sequence[Row], tokens: list[list[int]], seconds: float) -> Iterator[tuple[int, Answer]]:
        kept = [self._until_eos(line) for line in tokens]
        texts = self._processor.tokenizer.batch_decode(kept, skip_special_tokens=True)
        for row, line, text in zip(rows, kept, texts, strict=True):
            yield row.position, Answer(text.strip(), tokens=len(line), seconds=seconds)

    def _until_eos(self, tokens: list[int]) -> list[int]:
        """The answer up to and including its end; the rest is padding up to the batch's longest."""
        return tokens[: next((i + 1 for i, token in enumerate(tokens) if token in self._eos_ids), len(tokens))]

    def _options(self, decoding: Decoding) -> GenerateOptions:
        sampling = {"do_sample": True, "temperature": decoding.temperature} if decoding.temperature > 0 else {}
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=decoding.max_new_tokens,
            num_beams=decoding.num_beams,
            eos_token_id=sorted(self._eos_ids),
            pad_token_id=self._processor.tokenizer.pad_token_id or 0,
            **({"do_sample": False} | sampling),
        )
        bias = [EosBias(sorted(self._eos_ids), decoding.eos_bias)] if decoding.eos_bias else []
        return GenerateOptions(config, LogitsProcessorList(bias))


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


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)


def _loading(settings: HfSettings, place: torch.device, spec: str) -> dict[str, Any]:
    """The arguments of from_pretrained."""
    options: dict[str, Any] = {"dtype": _dtype(settings.dtype, place)}
    if settings.device_map:
        options["device_map"] = settings.device_map
    if settings.quantization != "none":
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UsageError(
                f"{spec}: quantization={settings.quantization} needs bitsandbytes; add it with: "
                ".venv/bin/python -m pip install bitsandbytes"
            )
        bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
        config = bits if settings.quantization == "4bit" else {"load_in_8bit": True}
        options["quantization_config"] = BitsAndBytesConfig(**config)  # type: ignore[no-untyped-call]
        options.setdefault("device_map", {"": place})
    return options


def weights_identity(source: str, model: Any) -> str:
    """sha256 over the content of a model directory's weights and settings; a hub model's commit."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{getattr(model.config, '_commit_hash', None)}"
    found = {path for pattern in (*WEIGHTS, *SETTINGS) for path in folder.glob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(f"{path.name}\0{_file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _with_adapter(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, adapter)
    # merging is exact enough in float32; in half precision it would round small updates away
    return adapted.merge_and_unload() if model.dtype == torch.float32 else adapted.get_base_model()


def _device(name: str) -> torch.device:
    if name == "auto":
        # Where a launcher started several processes on this machine each has a GPU of its own.
        return torch.device(f"cuda:{local_rank() % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: torch {torch.__version__} sees no GPU here; use --device cpu.")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N.") from error


def _dtype(name: str, device: torch.device) -> torch.dtype | str:
    if name == "auto":
        return "auto" if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UsageError(f"dtype {name!r}: choose one of auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


def _eos_ids(model: Any, processor: Any) -> set[int]:
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = processor.tokenizer.eos_token_id
    return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)


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
            opened[name] = PilImage.open(io.BytesIO(image.read())).convert("RGB")
        except (OSError, ValueError, SyntaxError, PilImage.DecompressionBombError) as error:
            failed[name] = f"cannot open image {name}: {error}"
    return opened, failed
