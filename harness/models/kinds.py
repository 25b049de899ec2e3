"""The kinds of model of this project. Each imports what it needs when a model of it is loaded."""

from __future__ import annotations

from pathlib import Path

from harness.chat.settings import ServedSettings
from harness.errors import UsageError
from harness.models.settings import HfSettings
from harness.models.spec import MODELS, Loading, ModelKind, ModelSpec
from harness.protocols.benchmark import Decoding
from harness.protocols.model import Model


def _hf(spec: ModelSpec, loading: Loading) -> Model:
    name = Path([spec.target, *spec.adapters][-1]).name
    return _load(spec, name, spec, loading)


def _run(spec: ModelSpec, loading: Loading) -> Model:
    if loading.runs is None:
        raise UsageError(f"{spec}: there is no results file to look the run up in.")
    return _load(loading.runs(spec.target), spec.target, spec, loading)


def _load(files: ModelSpec, name: str, spec: ModelSpec, loading: Loading) -> Model:
    from harness.models.hf import HfModel

    return HfModel.load(
        files,
        name=name,
        spec=str(spec),
        device=loading.device,
        settings=loading.settings,
        progress=loading.progress,
    )


def _replay(spec: ModelSpec, loading: Loading) -> Model:
    from harness.models.replay import ReplayModel

    return ReplayModel(Path(spec.target))


def _openai(spec: ModelSpec, loading: Loading) -> Model:
    from harness.models.chat import OpenAIModel

    return OpenAIModel(spec.target, loading.settings)


def _beyond_endpoints(decoding: Decoding) -> str:
    from harness.models.chat import beyond_endpoints

    return beyond_endpoints(decoding)


def _beyond_files(decoding: Decoding) -> str:
    from harness.models.replay import beyond_files

    return beyond_files(decoding)


def _check_openai(target: str) -> None:
    if "@http" not in target:
        raise UsageError(
            f"--model openai:{target}: expected openai:NAME@BASE_URL, for example "
            "openai:llava@http://localhost:8000/v1."
        )


MODELS.register(
    "hf",
    ModelKind(
        "hf:ID_OR_DIR[+ADAPTER_DIR]",
        "a transformers image-text-to-text model, with peft adapters; or an adapter's directory alone",
        _hf,
        settings=HfSettings,
    ),
)
MODELS.register(
    "openai",
    ModelKind(
        "openai:NAME@BASE_URL",
        "a model behind an OpenAI-compatible endpoint (vLLM, SGLang, OpenAI)",
        _openai,
        settings=ServedSettings,
        check=_check_openai,
        refuses=_beyond_endpoints,
        served=True,
    ),
)
MODELS.register("run", ModelKind("run:NAME", "a model aligned here", _run, settings=HfSettings))
MODELS.register(
    "replay",
    ModelKind(
        "replay:FILE.jsonl",
        'answers made elsewhere, {"id", "response"} a line',
        _replay,
        refuses=_beyond_files,
        recorded=True,
    ),
)
