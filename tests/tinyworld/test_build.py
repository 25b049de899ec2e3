"""Building the world: what it writes loads back, is cached by what it depends on, and is shared where it may be."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from aligners.pairs.data import load_pairs
from harness.errors import UsageError
from harness.protocols.progress import silent
from tests.tinyworld.conftest import SMALL
from tinyworld.build import README, SYNTHETIC, World, WorldConfig, build, located
from tinyworld.language import END, mentions
from workflows.embedded import is_embedded, is_embedded_model


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_second_build_returns_at_once(world: World, world_root: Path) -> None:
    parts = (world.model_dir, world.clip_dir, world.pairs.parent, world.heldout_pairs.parent, world.bench_dir.parent)
    assert all(SYNTHETIC in (part / "README.md").read_text().lower() for part in parts)
    assert is_embedded_model(str(world.model_dir))
    folders = [*world.bench_dir.iterdir(), *world.tuning_dir.iterdir()]
    assert len(folders) == 7 and all(map(is_embedded, folders))
    assert all((folder / "README.md").read_text() == README for folder in folders)
    assert located(WorldConfig(**SMALL, label_noise=0.3), world_root) == world and world.built
    started = time.perf_counter()
    assert build(WorldConfig(**SMALL, label_noise=0.3), world_root) == world
    assert time.perf_counter() - started < 1


def test_every_stage_of_building_reports_and_ends_complete(world: World, world_root: Path) -> None:
    last = json.loads((world_root.parent / "stages.json").read_text())
    assert set(last) == {
        "tiny world: pictures for the base model",
        "tiny world: base model",
        "tiny world: pictures for CLIP",
        "tiny world: CLIP",
        "tiny world: benchmarks",
        "tiny world: clean pairs",
        "tiny world: heldout pairs",
    }
    assert {step for step, (done, total) in last.items() if done != total} == set()


def test_another_sft_seed_is_another_base_with_pairs_of_its_own_in_the_same_world(
    world: World, world_root: Path
) -> None:
    other = located(WorldConfig(**SMALL, label_noise=0.3, sft_seed=1), world_root)
    assert (other.clip_dir, other.bench_dir) == (world.clip_dir, world.bench_dir)
    assert other.model_dir != world.model_dir and other.heldout_pairs != world.heldout_pairs
    assert located(WorldConfig(**SMALL, label_noise=0.3, sft_seed=0), world_root) == world
    assert located(WorldConfig()).model_dir.name == "base-248eb47cbfd9bc3feac3db47", "the key of before the setting"


def test_the_sft_seed_is_of_weights_and_words_not_of_scenes(world: World, tmp_path: Path) -> None:
    from tinyworld.llava_training import train_llava

    settings: dict[str, Any] = {"seed": 0, "images": 40, "epochs": 1, "hallucinated": 0.7, "progress": silent}
    train_llava(tmp_path / "again", **settings, sft_seed=0)
    train_llava(tmp_path / "other", **settings, sft_seed=1)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (world.model_dir, *sorted(tmp_path.iterdir()))]
    assert weights[0] == weights[1] != weights[2]


def test_label_noise_shares_everything_but_the_labels(world: World, world_root: Path) -> None:
    clean = build(WorldConfig(**SMALL), world_root)
    assert (clean.model_dir, clean.clip_dir, clean.bench_dir) == (world.model_dir, world.clip_dir, world.bench_dir)
    assert clean.heldout_pairs == world.heldout_pairs and clean.pairs != world.pairs
    exchanged = 0
    for before, after in zip(rows(clean.pairs), rows(world.pairs), strict=True):
        assert before["image"] == after["image"]
        if after["flipped"]:
            assert (after["chosen"], after["rejected"]) == (before["rejected"], before["chosen"])
            assert (after["true_chosen"], after["true_rejected"]) == (before["true_rejected"], before["true_chosen"])
            exchanged += 1
        else:
            assert before == after
    assert exchanged == round(0.3 * len(rows(clean.pairs))) > 0


def test_pairs_with_exchanged_labels_are_read_with_the_images_of_the_clean_ones(
    world: World, world_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(world_root.parent))
    images = [image for pair in load_pairs(world.pairs).pairs for turn in pair.prompt for image in turn.images]
    folders = {image.path.parent for image in images if image.path}
    assert folders == {world.heldout_pairs.parent / "clean"}


def test_pairs_mention_equally_many_objects_and_prefer_the_truer(world: World) -> None:
    found = [row for row in rows(world.pairs) if not row["flipped"]] + rows(world.heldout_pairs)
    assert found
    for row in found:
        chosen, rejected = mentions(str(row["chosen"])), mentions(str(row["rejected"]))
        assert len(chosen) == len(rejected)
        assert (len(chosen) == 0) == (row["kind"] == "question")
        assert row["true_chosen"] > row["true_rejected"]  # type: ignore[operator]
        if row["kind"] == "hard":
            assert len(set(chosen) - set(rejected)) == 1


def test_pair_images_open_relative_to_their_file(world: World) -> None:
    for path in (world.pairs, world.heldout_pairs):
        with Image.open(path.parent / str(rows(path)[0]["image"])) as image:
            assert image.size == (96, 96)


def test_clip_loads_back_through_open_clip(world: World) -> None:
    from aligners.pair_hardness.clip import ClipModel

    clip = ClipModel(f"local-dir:{world.clip_dir}")
    assert clip.truncated(["A street. A car. A dog. A bus."]) == 0
    import open_clip

    tokenizer = open_clip.get_tokenizer(f"local-dir:{world.clip_dir}")
    ids = tokenizer(["a car"])
    assert ids.shape == (1, 32) and int(ids.argmax()) == 3  # <s> a car </s>: the end is the highest id


def test_base_model_answers_through_the_auto_classes(world: World) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model: Any = AutoModelForImageTextToText.from_pretrained(world.model_dir)
    processor = AutoProcessor.from_pretrained(world.model_dir)
    image = Image.open(world.bench_dir / "amber/image/AMBER_1.png")
    content = [{"type": "image", "image": image}, {"type": "text", "text": "Describe this image."}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert processor.tokenizer.unk_token_id not in inputs["input_ids"]
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert out.shape[1] - inputs["input_ids"].shape[1] in (1, 2, 3)


def test_training_sees_the_prompt_the_chat_template_makes(world: World) -> None:
    from tinyworld.llava import load
    from tinyworld.llava_training import Words, encode

    _, processor = load(world.model_dir)
    content = [{"type": "image"}, {"type": "text", "text": "Describe this image."}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    # The template writes the BOS itself, as a server needs it; the tokenizer must not write another.
    inputs = processor(images=Image.new("RGB", (96, 96)), text=text, add_special_tokens=False)
    ids, labels = encode(Words(processor.tokenizer), [("Describe this image.", "A street. A car.")])
    prompt = list(inputs["input_ids"][0])
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt)] == [-100] * len(prompt)
    assert processor.tokenizer.decode(labels[len(prompt) : -1]) == "A street. A car."
    assert processor.tokenizer.convert_ids_to_tokens(labels[-1]) == END


def test_training_sees_the_pixels_the_processor_makes(world: World) -> None:
    from tinyworld.llava import load, normalised
    from tinyworld.render import pixels, render
    from tinyworld.scenes import draw_scenes

    _, processor = load(world.model_dir)
    scenes = draw_scenes(1, 0)
    expected = processor.image_processor(render(scenes[0]), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(normalised(torch.from_numpy(pixels(scenes))), expected)


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(UsageError, match="label_noise"):
        WorldConfig(label_noise=1.5)
    with pytest.raises(UsageError, match="pair_images"):
        WorldConfig(pair_images=0)


def test_settings_do_not_collide_with_those_of_training() -> None:
    import dataclasses

    from aligners.pair_hardness.hardness import HardnessConfig
    from aligners.training.config import AlignConfig

    names = {field.name for field in dataclasses.fields(WorldConfig)}
    assert not names & {f.name for kind in (AlignConfig, HardnessConfig) for f in dataclasses.fields(kind)}
