"""An open_clip model that embeds images and texts, with its weights' identity and a cache of embeddings on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aligners.pair_hardness.clip_files import parse_name
from harness.errors import DataError, Unreachable, UsageError
from harness.models.checks import CANNOT_LOAD, reason, require_finite, unreachable
from harness.models.weights import tensors_hash
from harness.protocols.conversation import Image as Picture
from harness.protocols.progress import Progress, silent
from harness.util.array_store import ArrayStore, Saving
from harness.util.distributed import rank_and_world_size
from harness.util.division import agreed, in_rounds, read_ahead, share
from harness.util.images import open_image, seen_digest
from harness.util.options import content_key
from harness.util.paths import cache_dir

TOKENISED = 1024
"""Texts that are tokenised at a time where they are only counted."""


@contextlib.contextmanager
def _positions_as_stored() -> Iterator[None]:
    """open_clip stretches embeddings of other positions than the architecture's in silence; here loading names them."""
    from open_clip import factory

    names = ("resize_pos_embed", "resize_text_pos_embed")
    before = {name: getattr(factory, name) for name in names}
    vars(factory).update(dict.fromkeys(names, lambda state_dict, model: None))
    try:
        yield
    finally:
        vars(factory).update(before)


def _not_loaded(name: str, error: BaseException) -> UsageError:
    if unreachable(error):
        return Unreachable(
            f"CLIP {name!r} is not on this machine, and its home does not answer: {reason(error)} "
            "--set clip=local-dir:PATH takes it from a folder."
        )
    return UsageError(
        f"CLIP {name!r} cannot be loaded: {reason(error)}. Expected NAME/PRETRAINED (such as "
        "ViT-L-14-336/openai), local-dir:PATH or hf-hub:ORG/REPO; see --set clip."
    )


class ClipModel:
    """A CLIP for scoring text against images.

    Args:
        name: ``NAME/PRETRAINED`` (an open_clip architecture and its weights' tag or a checkpoint file, for example
            ``ViT-L-14-336/openai``), ``local-dir:PATH`` (a folder with open_clip_config.json and weights, as
            ``open_clip.push_to_hub`` writes it), or ``hf-hub:ORG/REPO``.
        device: where it runs.
        batch_size: images or texts a forward pass.

    Raises:
        UsageError: the name is none of these forms, or the model cannot be loaded: not there, not all of its weights,
            some that it has no place for, or numbers that are not finite.
    """

    def __init__(self, name: str, device: str | torch.device = "cpu", batch_size: int = 64) -> None:
        import open_clip

        self.name, self.device, self.batch_size = name, torch.device(device), batch_size
        architecture, tag = parse_name(name)
        # OpenAI's weights were trained with QuickGELU; open_clip only warns when the architecture says otherwise.
        quick = bool(tag and (open_clip.get_pretrained_cfg(architecture, tag) or {}).get("quick_gelu"))
        try:
            # from_pretrained: weights that are not found are an error, never a random model.
            with _positions_as_stored():
                model, preprocess = open_clip.create_model_from_pretrained(
                    architecture, pretrained=tag, device=self.device, force_quick_gelu=quick
                )
            self._tokenizer: Any = open_clip.get_tokenizer(architecture)
        except (*CANNOT_LOAD, StopIteration) as error:
            raise _not_loaded(name, error) from error
        require_finite(model, f"CLIP {name!r}")
        self._model = model.eval().requires_grad_(False)
        self._preprocess: Any = preprocess
        self.context_length = int(self._tokenizer.context_length)
        self.logit_scale = float(model.logit_scale.exp())
        self.identity = content_key(tensors_hash(model, with_types=False), str(preprocess), self.context_length)

    def encode_images(
        self, images: Mapping[str, Picture], workers: int = 0, progress: Progress = silent
    ) -> dict[str, Tensor]:
        """Unit embeddings of ``images``, float32 [d], by the keys that they are given by (``content_hash``).

        Each is embedded once, and only if no earlier run has done so; a batch is in memory at a time, and ``workers``
        processes decode while the model computes. Of several processes of a run each embeds its share, and the first
        gets them all; the others get none.
        Raises DataError for an image that cannot be decoded, or is another one than its key says.
        """

        def pixels(keys: Sequence[str]) -> Tensor:
            return torch.stack([self._preprocess(_open(_read(key, images[key]))) for key in keys])

        return self._encode("image", list(images), pixels, self._embed_pixels, workers, progress)

    def encode_texts(self, texts: Mapping[str, str], progress: Progress = silent) -> dict[str, Tensor]:
        """Unit embeddings of ``texts``, float32 [d], by their keys; as ``encode_images``."""

        def tokens(keys: Sequence[str]) -> Tensor:
            made: Tensor = self._tokenizer([texts[key] for key in keys])
            return made

        return self._encode("text", list(texts), tokens, self._embed_tokens, 0, progress)

    def truncated(self, texts: Sequence[str]) -> int:
        """How many of ``texts`` do not fit into the context (77 tokens in OpenAI's models)."""
        longer = 8 * self.context_length
        padding = self._tokenizer([""], context_length=longer)[0, -1]
        parts = [texts[start : start + TOKENISED] for start in range(0, len(texts), TOKENISED)]

        def count(number: int) -> int:
            tokens = self._tokenizer(list(parts[number]), context_length=longer)
            return int((tokens[:, self.context_length] != padding).sum())

        return sum(each for _, each in in_rounds(len(parts), count))

    @torch.no_grad()
    def embed_images(self, images: list[bytes]) -> Tensor:
        """Unit embeddings of encoded images, float32 [n, d], past the cache (for images made on the way)."""
        return self._embed_images(images)

    def _embed_images(self, images: list[bytes]) -> Tensor:
        return self._embed_pixels(torch.stack([self._preprocess(_open(image)) for image in images]))

    def _embed_pixels(self, pixels: Tensor) -> Tensor:
        return self._unit(self._model.encode_image(pixels.to(self.device)))

    def _embed_tokens(self, tokens: Tensor) -> Tensor:
        return self._unit(self._model.encode_text(tokens.to(self.device)))

    @staticmethod
    def _unit(features: Tensor) -> Tensor:
        return torch.nn.functional.normalize(features.float(), dim=-1).cpu()

    @torch.no_grad()
    def _encode(
        self,
        kind: str,
        keys: Sequence[str],
        prepare: Callable[[Sequence[str]], Tensor],
        embed: Callable[[Tensor], Tensor],
        workers: int,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """``embed`` of what ``prepare`` makes of a batch of keys. Batches are the same however many processes there
        are, so that embeddings are too.
        """
        first = rank_and_world_size()[0] == 0
        store = ArrayStore(cache_dir("clip") / self.identity / kind, _packed, _unpacked)
        known = store.read(set(keys)) if first else {}
        todo = agreed([key for key in keys if key not in known])
        batches = [todo[start : start + self.batch_size] for start in range(0, len(todo), self.batch_size)]
        ahead = read_ahead([batches[number] for number in share(len(batches))], prepare, workers)
        done = len(keys) - len(todo)
        progress(f"CLIP: {kind}s", done, len(keys))
        with Saving(store) as saving:
            for number, features in in_rounds(len(batches), lambda _: embed(next(ahead))):
                if first:
                    new = dict(zip(batches[number], features, strict=True))
                    saving.add(new)
                    known.update(new)
                done += len(batches[number])
                progress(f"CLIP: {kind}s", done, len(keys))
        return known


def _open(image: bytes) -> Image.Image:
    try:
        return open_image(image)
    except ValueError as error:
        raise DataError(f"An image of the preference data cannot be decoded: {error}") from error


def _read(key: str, image: Picture) -> bytes:
    """The bytes of ``image``. Raises DataError where they are not those of ``key``, under which all is kept."""
    data = image.read()
    if seen_digest(data) != key:
        raise DataError(f"the image {image.path} was changed while it was read; run the same command again.")
    return data


def _packed(features: Sequence[Tensor]) -> dict[str, np.ndarray]:
    return {"features": torch.stack(list(features)).numpy()}


def _unpacked(arrays: Mapping[str, Any]) -> list[Tensor]:
    features = torch.from_numpy(arrays["features"])
    if features.ndim != 2 or not features.isfinite().all():
        raise ValueError("its numbers are no embeddings")
    return list(features)
