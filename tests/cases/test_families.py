"""Families of models, from `align` and `bench` to the figures or the pair that cannot be put to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from harness.store import Store
from tests.cases.running import figures, run, said
from tests.cases.test_models import aligned, benched
from tests.tiny import picture
from tests.tiny_families import tiny_family


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))


def saved(family: str, folder: Path) -> Path:
    model, processor = tiny_family(family)
    model.float().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_a_model_that_looks_by_cross_attention_is_aligned_and_benchmarked(tmp_path: Path) -> None:
    model = saved("mllama", tmp_path / "m")
    found = json.loads(aligned(model, tmp_path, "--set", "lora_rank=2", "--no-probe").stdout)
    assert found["step"] == 1 and found["loss"] == pytest.approx(0.6931, abs=1e-3), "log 2 before the first step"
    assert figures(benched(f"run:{tmp_path.name}", tmp_path))["n_failed"] == 0


def test_a_pair_whose_image_the_processor_refuses_is_named_and_left_out_where_asked(tmp_path: Path) -> None:
    model = saved("qwen2_vl", tmp_path / "m")
    (tmp_path / "a.png").write_bytes(picture(0))
    Image.new("RGB", (4000, 10)).save(tmp_path / "wide.png")
    rows = [{"idx": n, "image": n, "question": "what ?", "chosen": "a dog", "rejected": "a cat"} for n in ("a", "wide")]
    (file := tmp_path / "x.jsonl").write_text(
        "".join(json.dumps({**r, "image": f"{r['image']}.png"}) + "\n" for r in rows)
    )
    words = ["align", "--method", "dpo", "--model", model, "--data", file, "--db", tmp_path / "r.sqlite", "--json"]
    words += ["--set", "batch_size=1", "--no-probe"]
    for more in ([], ["--dry-run"]):
        message = said(run(*words, *more, code=2))
        assert "pair wide: " in message and "aspect ratio" in message and "skip_bad_rows" in message
    with pytest.warns(UserWarning, match=r"1 pairs; dropped 1 \(first: wide\)"):
        run(*words, "--set", "skip_bad_rows=true")


def test_one_setting_bounds_the_pixels_of_training_and_of_the_runs_benchmarks(tmp_path: Path) -> None:
    model = saved("qwen2_vl", tmp_path / "m")
    aligned(model, tmp_path, "--set", "model.max_pixels=256", "--no-probe")
    spec = f"run:{tmp_path.name}"
    benched(spec, tmp_path)
    with pytest.warns(UserWarning, match="max_pixels not as trained"):
        benched(spec, tmp_path, "--set", "model.max_pixels=512")
    as_trained, otherwise = Store(tmp_path / "r.sqlite").evaluations()
    routes = [each.info["route"] for each in (as_trained, otherwise)]
    assert "max_pixels=256" in routes[0] and "max_pixels=512, max_pixels not as trained" in routes[1]
    assert as_trained.model_key != otherwise.model_key
