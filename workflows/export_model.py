"""`export-model`: a run's model as a directory of its own, and on the hub."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import HarnessError, UsageError
from harness.models.model_files import ADAPTER_CONFIG, START
from harness.models.origin import at_revision, require_start
from harness.models.settings import LoadSettings
from harness.models.sources import write_start
from harness.models.spec import ModelSpec
from harness.models.weights import weights_identity
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.util.files import making
from workflows.lineage import lookup_run

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
OF_THE_ADAPTER = (ADAPTER_CONFIG, START, "adapter_model.safetensors", "training_args.bin")


@dataclass(frozen=True)
class ExportedModel:
    """What was written: a ``kind`` of "model" or "adapter" (of ``base``), its type, and its page on the hub."""

    folder: Path
    kind: str
    base: str | None
    dtype: str | None
    url: str | None


def export_model(
    store: Store,
    run: str,
    folder: Path,
    *,
    merge: bool = False,
    dtype: Dtype = "auto",
    hub_id: str | None = None,
    public: bool = False,
    progress: Progress = silent,
) -> ExportedModel:
    """Write the model of ``run`` to ``folder``: a whole model, or the adapter that makes it of its base.

    Args:
        merge: add the adapters to the weights, in float32, and write a whole model.
        dtype: of a merged model; "auto" is the base's own.
        hub_id: OWNER/NAME on the Hugging Face hub to upload the folder to, private unless ``public``.

    Raises UsageError where there is something in ``folder`` already, or no token of the hub.
    """
    files = lookup_run(store)(run.removeprefix("run:"))
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"--out {folder}: there is something in it already; name another directory.")
    if hub_id is not None:
        require_hub(hub_id)
    written = None
    with making(folder) as part:
        if not files.adapters:
            copy_model(Path(files.target), part)
        elif merge:
            written = _merged(files, part, dtype, progress)
        else:
            _adapter(files, part, progress)
    whole = merge or not files.adapters
    url = upload(folder, hub_id, public=public, progress=progress) if hub_id is not None else None
    return ExportedModel(folder, "model" if whole else "adapter", None if whole else files.target, written, url)


def _adapter(files: ModelSpec, folder: Path, progress: Progress) -> None:
    """One adapter of the base; several are written as one, since the hub and servers put one on a base."""
    from harness.models.adapter_files import write_as_one

    require_start(files.target, files.adapters, str(files), progress)
    own = Path(files.adapters[-1])
    if len(files.adapters) > 1:
        write_as_one([Path(adapter) for adapter in files.adapters], files.target, folder)
        write_start(folder, files.target, (), [weights_identity(files.target, progress)])
        _copy_beside(own, folder)
    else:
        copy_model(own, folder)


def _merged(files: ModelSpec, folder: Path, dtype: Dtype, progress: Progress) -> str:
    """The base with all adapters added to its weights; returns the type it was written in."""
    import torch

    from harness.models.loading import DTYPES, load, own_dtype

    loaded = load(
        files.target,
        device=torch.device("cpu"),
        named=str(files),
        dtype="float32",
        adapters=files.adapters,
        progress=progress,
    )
    settings = at_revision(LoadSettings(), files.target, files.adapters)
    name = own_dtype(files.target, settings) if dtype == "auto" else dtype
    progress("saving", 0, 1)
    loaded.model.to(DTYPES[name]).save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    _copy_beside(Path(files.adapters[-1]), folder)
    progress("saving", 1, 1)
    return name


def copy_model(model: Path, folder: Path) -> None:
    """Copy the directory ``model``, where a results file says that a run's model is, to ``folder``.

    Raises UsageError where it holds no model, or a link that leads out of it: what is exported may be uploaded.
    """
    if not any((model / name).is_file() for name in ("config.json", ADAPTER_CONFIG)):
        raise UsageError(f"{model} holds no model (no config.json, no {ADAPTER_CONFIG}): nothing is exported.")

    def left_out(place: str, names: list[str]) -> set[str]:
        for name in names:
            _require_inside(Path(place) / name, model)
        return {"training_args.bin"} & set(names)

    shutil.copytree(model, folder, dirs_exist_ok=True, ignore=left_out)


def _require_inside(file: Path, model: Path) -> None:
    if not file.resolve().is_relative_to(model.resolve()):
        raise UsageError(
            f"{file} is a link to {file.resolve()}, outside the model: it is not exported. Remove the link, or put the "
            "file in its place."
        )


def _copy_beside(run: Path, folder: Path) -> None:
    """What lies beside a run's weights: processor, chat template, card."""
    for file in run.iterdir():
        if file.is_file() and file.name not in OF_THE_ADAPTER:
            _require_inside(file, run)
            shutil.copy2(file, folder / file.name)


def require_hub(hub_id: str) -> None:
    """Raise UsageError if nothing can be uploaded to ``hub_id``: no name of a repository, or no token."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(hub_id)
    except HFValidationError as error:
        raise UsageError(f"--push-to-hub {hub_id}: expected OWNER/NAME ({error}).") from error
    if get_token() is None:
        raise UsageError(
            f"--push-to-hub {hub_id}: there is no token of the Hugging Face hub. Log in with `hf auth login`, or set "
            "HF_TOKEN to a token that may write."
        )


def upload(folder: Path, hub_id: str, *, public: bool, progress: Progress) -> str:
    """Upload ``folder`` to the hub's model repository ``hub_id``, made if absent; returns its address."""
    from huggingface_hub import HfApi

    progress("upload to the hub", 0, 1)
    with _named(hub_id, folder):
        api = HfApi()
        address = api.create_repo(hub_id, private=not public, exist_ok=True)
        api.upload_folder(repo_id=hub_id, folder_path=folder, commit_message="Upload of a model aligned with DAMA")
    progress("upload to the hub", 1, 1)
    return str(address)


@contextlib.contextmanager
def _named(hub_id: str, folder: Path) -> Iterator[None]:
    """What the hub's library raises becomes a HarnessError that says what was kept."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        raise HarnessError(
            f"--push-to-hub {hub_id}: the upload failed ({type(error).__name__}: {error}). The model is whole in "
            f"{folder}; once the hub can be reached: hf upload {hub_id} {folder}"
        ) from error
