"""What must hold of weights that were loaded: all there, each in its place, none made up."""

from __future__ import annotations

import math
import pickle
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode
from huggingface_hub.errors import LocalEntryNotFoundError, StrictDataclassError
from safetensors import SafetensorError

from harness.errors import DataError, UsageError
from harness.models.weights import tensors_of, weight_files
from harness.util.distributed import rank_and_world_size
from harness.util.download import PASSING

SHOWN = 4
REASON = 400
"""Characters of a library's error that are shown."""
CANNOT_READ = (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError)
"""What a file of weights raises that is cut short, is a pointer of Git LFS, or is none."""
CANNOT_LOAD = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, ArithmeticError, AssertionError,
    StrictDataclassError, *CANNOT_READ,
)  # fmt: skip
"""What transformers and peft raise for a model that is not there, not whole, of an unknown type, or whose files of
settings hold something else than they should."""
COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|masked_bias)$")
"""Buffers that older checkpoints hold and models compute by themselves."""
SMALL = 64
"""A matrix of no more numbers than this may be one number throughout."""
UNTRAINED = re.compile(r"vision|visual|audio|speech|lora_")
"""In the names of weights that may be a constant: of towers, and of adapters that come with a model."""
SPARE_ROWS = (1.25, 1024)
"""How many times, and by how many rows, embeddings may be more than the tokeniser's tokens: they are padded."""


def require_loaded(model: Any, info: Mapping[str, Any], tokenizer: Any, what: str, *, allow_unused: bool) -> None:
    """Raise UsageError if ``model`` is not what its checkpoint ``what`` says, or cannot be what anybody trained.

    All its weights were loaded (``require_whole``) and are finite, those of words and no matrix of its language model
    or projector are a constant, and the tokeniser is of this model. Weights that are tied by the configuration alone
    are a warning. ``info``: transformers' ``output_loading_info``.
    """
    require_whole(info, what, allow_unused=allow_unused)
    warn_of_untied(model, what)
    require_words(model, tokenizer, what)
    require_finite(model, what, trained=True)


def require_whole(info: Mapping[str, Any], what: str, *, allow_unused: bool = False) -> None:
    """Raise UsageError if a checkpoint left weights of its model at random numbers, or holds some that it has no use
    for (unless ``allow_unused``): the figures would be of another model. ``info``: transformers'
    ``output_loading_info``.
    """
    unused = [name for name in info["unexpected_keys"] if not COMPUTED.search(name)]
    mismatched = [name if isinstance(name, str) else name[0] for name in info["mismatched_keys"]]
    faults = {
        "missing, so that they would be random numbers": info["missing_keys"],
        "of another shape than its config.json says": mismatched,
        "unknown to this model type, so that they would be left out": [] if allow_unused else unused,
    }
    said = [f"{_named(names)} {fault}" for fault, names in faults.items() if names]
    if said:
        remedy = "Give a complete checkpoint of its own model type"
        if len(said) == 1 and unused and not allow_unused:
            remedy += ", or leave them out with --set model.unused_weights=allow"
        raise UsageError(f"{what} is not whole: {'; '.join(said)}. {remedy}.")


def warn_of_untied(model: Any, what: str) -> None:
    """Warn if the configuration ties weights of which the checkpoint holds two different ones.

    Transformers uses both, as the file has them. Other programs use one, and answer otherwise.
    """
    apart = set(model.get_expanded_tied_weights_keys(all_submodels=True)) - set(model.all_tied_weights_keys)
    if apart:
        warnings.warn(
            f"{what} contradicts itself: its configuration ties weights (tie_word_embeddings) of which the file holds "
            f"different ones: {_named(apart)}. They are used as the file has them; a server may do otherwise. Write "
            "tie_word_embeddings: false into its config.json.",
            stacklevel=2,
        )


def require_words(model: Any, tokenizer: Any, what: str) -> None:
    """Raise UsageError if the weights of the words are one number throughout, or not for the tokeniser's tokens.

    Of processes that share a model only the first looks: the others may hold zeros, or nothing, until it sends them.
    """
    if rank_and_world_size()[0]:
        return
    layers = {"input embeddings": model.get_input_embeddings(), "output head": model.get_output_embeddings()}
    weights = {name: weight for name, layer in layers.items() if (weight := getattr(layer, "weight", None)) is not None}
    present = {name: weight for name, weight in weights.items() if weight.numel() and not weight.is_meta}
    floating = {name: weight.detach() for name, weight in present.items() if weight.is_floating_point()}
    for name, weight in floating.items():
        low, high = weight.aminmax()
        if bool(low == high) and weight.numel() > 1:
            raise UsageError(
                f"{what}: all weights of its {name} are {float(low):g}, so that every word is like every other. Give a "
                "checkpoint that was saved whole."
            )
    rows = len(floating.get("input embeddings", ()))
    tokens = 1 + max(tokenizer.get_vocab().values(), default=0)
    times, spare = SPARE_ROWS
    if rows and not tokens <= rows <= tokens * times + spare:
        raise UsageError(
            f"{what} has embeddings of {rows} tokens, and its tokeniser has {tokens}: the tokeniser is of another "
            "model. Put the model's own tokeniser files beside its weights."
        )


def require_adapter(
    missing: Collection[str],
    unexpected: Collection[str],
    state: Mapping[str, Any],
    what: str,
    scaling: Collection[float] = (),
) -> None:
    """Raise UsageError if an adapter's weights are not those that the model has a place for, or change nothing.

    ``state``: the adapter's tensors as they were loaded; ``scaling``: what its products of matrices are multiplied by.
    """
    faults = {"that this model has no place for": unexpected, "missing": missing}
    said = [f"{_named(names)} {fault}" for fault, names in faults.items() if names]
    if said:
        raise UsageError(
            f"{what} was made for another model: {'; '.join(said)}. Name the model it was trained on; one made with "
            "LLaVA's own repository is converted by: python cli.py import-model DIR"
        )
    require_finite(state, what)
    second = [tensor for name, tensor in state.items() if "lora_B" in name or "lora_embedding_B" in name]
    others = [name for name in state if "lora_" not in name]
    zero = "every lora_B is zero" if not any(bool(tensor.any()) for tensor in second) else ""
    zero = zero or ("lora_alpha is 0" if scaling and not any(scaling) else "")
    if second and not others and zero:
        raise UsageError(f"{what} changes nothing ({zero}): it would be its base under another name.")


def require_finite(source: Any, what: str, *, trained: bool = False) -> None:
    """Raise DataError, which begins with ``what``, if weights hold NaN or an infinity, or cannot be read.

    ``source``: a model, its tensors by name, or the folder of a model or adapter, whose files are then read a tensor
    at a time. One pass, where the weights are, without a copy of them. Of a model that was ``trained`` a matrix that is
    one number throughout is a UsageError (``_is_trained_matrix``).
    """
    bad, constant = [], []
    trained = trained and not rank_and_world_size()[0]  # other processes may hold zeros until the first sends weights
    try:
        for name, tensor in _tensors(source):
            low, high = _extremes(tensor)
            if not (math.isfinite(low) and math.isfinite(high)):  # NaN is an extreme too
                bad.append(name)
            elif low == high and trained and _is_trained_matrix(name, tensor):
                constant.append(name)
    except (OSError, *CANNOT_READ) as error:
        raise DataError(f"{what}: its weights cannot be read ({error}).") from error
    if bad:
        raise DataError(
            f"{what}: {_named(bad)} {'hold' if len(bad) > 1 else 'holds'} numbers that are not finite (NaN or "
            "infinity): its training failed, or its file is damaged."
        )
    if constant:
        raise UsageError(
            f"{what}: {_named(constant)} {'are' if len(constant) > 1 else 'is'} one number throughout, as no training "
            "leaves them. Give a checkpoint that was saved whole."
        )


def is_finite(tensor: Any) -> bool:
    """Whether a tensor holds neither NaN nor an infinity; of integers, and of weights that are not in memory, True."""
    return all(map(math.isfinite, _extremes(tensor)))


def _extremes(tensor: Any) -> tuple[float, float]:
    """The least and the greatest number of a tensor, NaN if it holds one; (0, 1) where none is read (``is_finite``)."""
    if tensor.is_meta or not tensor.is_floating_point() or not tensor.numel():
        return 0.0, 1.0
    if tensor.element_size() == 1:  # of 8 bits no extremes can be computed
        tensor = tensor.float()
    low, high = tensor.detach().aminmax()
    return float(low), float(high)


def _is_trained_matrix(name: str, tensor: Any) -> bool:
    """Whether a tensor is a matrix of the language model or projector. Vectors, adapters and parts of a tower, such as
    the token of a mask, may be a constant in a model that is whole.
    """
    return tensor.dim() == 2 and min(tensor.shape) > 1 and tensor.numel() > SMALL and not UNTRAINED.search(name)


def _tensors(source: Any) -> Iterable[tuple[str, Any]]:
    """Names and tensors of a model, or of the files in a folder."""
    if isinstance(source, str | Path):
        return _of_files(Path(source))
    return (source if isinstance(source, Mapping) else source.state_dict()).items()


def _of_files(folder: Path) -> Iterator[tuple[str, Any]]:
    files = weight_files(folder)
    if not files:
        raise OSError(f"{folder} has no file of weights")
    for file in files:
        yield from tensors_of(file)


def unreachable(error: BaseException) -> bool:
    """Whether ``error`` comes of a hub that did not answer, and not of one that is not to be asked."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    status = [getattr(getattr(each, "response", None), "status_code", 0) for each in chain]
    down = any(isinstance(each, ConnectionError | TimeoutError | LocalEntryNotFoundError) for each in chain)
    return not is_offline_mode() and (down or bool(PASSING & {*status}))


def reason(error: BaseException) -> str:
    """Why something could not be loaded, in one line."""
    if isinstance(error, pickle.UnpicklingError):  # torch's own text proposes to run what the file holds
        return "a .bin file of weights is damaged, or holds more than weights; save them as safetensors"
    if isinstance(error, KeyError):
        return f"it knows nothing called {error}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= REASON else f"{text[: REASON - 3]}..."


def _named(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:SHOWN])
    return f"{len(names)} weight{'s' * (len(names) > 1)} ({first}{', ...' if len(names) > SHOWN else ''})"
