"""The reference recipe with model, data and sharding overridden: a tiny LLaVA on pairs in RLAIF-V's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from cli import cli
from tests.tiny import picture, tiny_llava, tiny_pairs

RECIPE = Path(__file__).parents[1] / "recipes" / "llava15_7b_rlaifv.yaml"


def tiny_clip(folder: Path) -> str:
    """A random CLIP of one layer a tower in open_clip's local-dir form."""
    import open_clip

    folder.mkdir()
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    weights = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).state_dict()
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return f"local-dir:{folder}"


def rlaif_v(folder: Path) -> Path:
    """30 pairs with RLAIF-V's columns in a parquet file; 20 of them are of LLaVA-1.5's answers."""
    rows = [json.loads(line) for line in tiny_pairs(folder / "pairs", count=30).read_text().splitlines()]
    table = [
        {
            "ds_name": "RLAIF-V",
            "image": {"bytes": picture(row["idx"]), "path": f"{row['idx']}.jpg"},
            "question": row["question"],
            "chosen": row["chosen"],
            "rejected": row["rejected"],
            "origin_dataset": "COCO",
            "origin_split": json.dumps({"model": "OmniLMM-12B" if n % 3 == 0 else "LLaVA-v1.5-7B", "type": "qa"}),
            "idx": row["idx"],
            "image_path": f"{row['idx']}.jpg",
        }
        for n, row in enumerate(rows)
    ]
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(table), folder / "data" / "RLAIF-V-Dataset_000.parquet")
    return folder / "data"


def run(folder: Path, method: str, *more: str) -> Result:
    command = ["align", "--method", method, "--recipe", str(RECIPE), "--db", str(folder / "r.sqlite"), "--json"]
    return CliRunner().invoke(cli, [*command, *(word for each in more for word in ("--set", each))])


@pytest.fixture
def overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    model = tiny_llava(tmp_path / "model")
    settings = [f"model={model}", f"data={rlaif_v(tmp_path)}", "sharding=none", "dtype=float32"]
    return [*settings, f"clip={tiny_clip(tmp_path / 'clip')}"]


def test_the_reference_recipe_trains_a_tiny_llava_with_dama(tmp_path: Path, overrides: list[str]) -> None:
    done = run(tmp_path, "dama", *overrides)
    assert done.exit_code == 0, (done.output, done.exception)
    made = json.loads(done.stdout)
    assert made["step"] == 5 and made["filtered"] == 0.25  # 4 epochs of 20 pairs; K = floor(0.8 x 16) = 12 of 16 stay
    assert "20 of 30 rows match ?origin_split.model=LLaVA-v1.5-7B" in made["info"]["data"]["notes"]
    assert made["config"]["lr"] == 5e-7 and made["config"]["workers"] == 4
    assert made["info"]["route"].startswith("shared prefix")
    assert (Path(made["model_dir"]) / "model.safetensors").exists()
    again = run(tmp_path, "pea-dpo", *overrides)
    assert again.exit_code == 0, (again.output, again.exception)
    assert json.loads(again.stdout)["info"]["reference_cached"] is False  # three responses a pair, not two


def test_sharding_that_is_not_installed_is_named(tmp_path: Path, overrides: list[str]) -> None:
    pytest.importorskip("accelerate")
    try:
        import deepspeed  # noqa: F401
    except ImportError:
        done = run(tmp_path, "dpo", *overrides, "sharding=zero3")
        assert done.exit_code == 2 and "needs DeepSpeed" in done.output
    else:
        pytest.skip("DeepSpeed is installed")
    done = run(tmp_path, "dpo", *overrides, "quantize=4bit")
    assert done.exit_code == 2 and "set lora_rank" in done.output
