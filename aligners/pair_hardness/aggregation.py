"""How the likeness of the pieces of two responses to an image becomes one number."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["softmax", "sum", "mean", "whole"]


def aggregate(cos_w: Tensor, cos_l: Tensor, logit_scale: float, how: Aggregation) -> float:
    """delta of one pair from the cosines of its pieces, chosen [n_w] and rejected [n_l], with the image.

    ``softmax``: share of the chosen pieces minus share of the rejected ones in one softmax over
    logit_scale * cosine, in [-1, 1]. ``sum`` and ``mean``: difference of the sums or means of cosines. ``whole``:
    difference of the cosines of the unsplit responses (one piece each).
    """
    cos_w, cos_l = cos_w.double(), cos_l.double()
    if how == "softmax":
        share = (logit_scale * torch.cat([cos_w, cos_l])).softmax(0)
        return float(share[: len(cos_w)].sum() - share[len(cos_w) :].sum())
    if how == "sum":
        return float(cos_w.sum() - cos_l.sum())
    return float(cos_w.mean() - cos_l.mean())
