"""Hashes of weights: of content, not of folders; each of the two changes where its situation asks for it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import torch

from harness.models.weights import files_identity, tensors_hash


def test_files_identity_is_of_names_and_bytes_and_of_what_belongs_to_a_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    lines = [
        (name, hashlib.sha256((model / name).read_bytes()).hexdigest()) for name in ("config.json", "model.safetensors")
    ]
    expected = hashlib.sha256("".join(f"{name}\0{digest}\n" for name, digest in lines).encode()).hexdigest()
    assert files_identity(str(model), None) == expected
    (model / "README.md").write_text("a card changes no answer")
    assert files_identity(str(shutil.copytree(model, tmp_path / "copy")), None) == expected
    (model / "tokenizer.json").write_text("{}")
    assert files_identity(str(model), None) != expected


def test_a_hub_model_is_its_name_and_commit() -> None:
    model = SimpleNamespace(config=SimpleNamespace(_commit_hash="3fa9c1"))
    assert files_identity("org/name", model) == "org/name@3fa9c1"


def test_tensors_hash_sees_names_values_and_buffers_and_types_where_asked() -> None:
    layer = torch.nn.BatchNorm1d(2)
    by_hand = hashlib.sha256()
    for name, tensor in sorted(layer.state_dict().items()):
        by_hand.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        by_hand.update(tensor.numpy().tobytes())
    assert tensors_hash(layer) == by_hand.hexdigest()
    before = tensors_hash(layer), tensors_hash(layer, with_types=False)
    assert before[0] != before[1]
    layer.running_mean[0] = 1.0  # type: ignore[index]
    assert tensors_hash(layer) != before[0]


def test_hashing_reports_every_tensor() -> None:
    reports: list[tuple[str, int, int]] = []
    tensors_hash(torch.nn.Linear(2, 2), progress=lambda *report: reports.append(report))
    assert reports == [("hash of the weights", 1, 2), ("hash of the weights", 2, 2)]
