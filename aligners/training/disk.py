"""What a run takes on disk: checkpoints while it trains, and the model at its end."""

from __future__ import annotations

from aligners.training.checkpoints import KEPT
from aligners.training.config import AlignConfig


def checkpoint_bytes(total: int, trainable: int, config: AlignConfig) -> int:
    """Bytes of a checkpoint's tensors, over all processes: float32 weights of the whole model or of the adapters, and
    AdamW's two moments of what is trained. With the moments DeepSpeed keeps the trained weights; they are its only copy
    under ZeRO-3, and the second under ZeRO-2. Of a full run the frozen tower is in it (4 % of LLaVA-1.5-7B).
    """
    weights = model_bytes(total, trainable, config) + 8 * trainable
    return weights + (4 * trainable if config.sharding == "zero2" else 0)


def model_bytes(total: int, trainable: int, config: AlignConfig) -> int:
    """Bytes of the trained model: all its weights in float32, or the adapters alone."""
    return 4 * (trainable if config.lora_rank else total)


def merged_bytes(total: int, config: AlignConfig) -> int:
    """Bytes of the model with its adapter merged into it, in the type that the base is loaded in; 0 where none is."""
    return total * (4 if config.dtype == "float32" else 2) if config.merge else 0


def disk_facts(total: int, trainable: int, config: AlignConfig, steps: int) -> dict[str, float]:
    """The lines of a dry run.

    The newest checkpoints are kept until the run is done (``KEPT``), and one more is there while it is written; the
    model is written beside those that are kept.
    """
    one = checkpoint_bytes(total, trainable, config)
    model = model_bytes(total, trainable, config) + merged_bytes(total, config)
    saved = -(-steps // config.checkpoint_every) if config.checkpoint_every else 0  # also after the last step
    kept = min(saved, KEPT)
    peak = max(min(saved, KEPT + 1) * one, kept * one + model)
    return {
        "GB a checkpoint": round(one / 1e9, 3),
        "checkpoints kept": kept,
        "GB of the model on disk": round(model / 1e9, 3),
        "GB on disk at the peak": round(peak / 1e9, 3),
    }
