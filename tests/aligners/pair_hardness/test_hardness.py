"""Hardness: aggregation by hand, and a tiny random CLIP end to end."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image

from aligners.pair_hardness import hardness as clip_hardness
from aligners.pair_hardness.aggregation import aggregate
from aligners.pair_hardness.clip import ClipModel
from aligners.pair_hardness.clip_files import absolute, content_hash, files_hash, is_local, parse_name
from aligners.pair_hardness.hardness import HardnessConfig, compute_hardness, correlation
from aligners.pair_hardness.splitter import SplitError, Splitter
from harness.errors import DataError, HarnessError, Unreachable, UsageError
from harness.protocols.conversation import Image as Picture
from harness.protocols.progress import Progress, silent


@dataclass(frozen=True)
class Pair:
    id: str
    chosen: str
    rejected: str
    image: bytes | tuple[bytes, ...]
    question: str = "What is there?"

    @property
    def images(self) -> tuple[Picture, ...]:
        return tuple(Picture(data=data) for data in ((self.image,) if isinstance(self.image, bytes) else self.image))


def png(shade: int) -> bytes:
    pixels = np.random.default_rng(shade).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def by_hash(images: Sequence[Picture]) -> dict[str, Picture]:
    return {content_hash(image.read()): image for image in images}


@pytest.fixture(scope="module")
def clip_name(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random CLIP with one layer a tower, written as open_clip's local-dir form."""
    import open_clip

    folder: Path = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = open_clip.CLIP(embed_dim=16, vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"])
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))


@pytest.fixture
def pairs() -> list[Pair]:
    return [
        Pair("a", "A dog sits, a cat runs and a bird flies.", "A dog sits.", png(0)),
        Pair("b", "A red bus.", "A blue bus. A man waves.", png(0)),
        Pair("c", "Two cups on a table.", "One cup on a table.", png(1)),
        Pair("d", "A " + "very " * 20 + "long text.", "A short text.", png(2)),
    ]


def test_softmax_rewards_more_pieces() -> None:
    assert aggregate(torch.full((4,), 0.3), torch.full((2,), 0.3), 100.0, "softmax") == pytest.approx(1 / 3)


def test_aggregations_by_hand() -> None:
    cos_w, cos_l = torch.tensor([0.5, 0.25]), torch.tensor([0.125])
    e = [math.exp(2 * x) for x in (0.5, 0.25, 0.125)]
    assert aggregate(cos_w, cos_l, 2.0, "softmax") == pytest.approx((e[0] + e[1] - e[2]) / sum(e))
    assert aggregate(cos_w, cos_l, 2.0, "sum") == pytest.approx(0.625)
    assert aggregate(cos_w, cos_l, 2.0, "mean") == pytest.approx(0.25)
    assert aggregate(cos_w[:1], cos_l, 2.0, "whole") == pytest.approx(0.375)


def test_record_tells_how_the_deltas_were_made(clip_name: str, pairs: list[Pair]) -> None:
    hardness = compute_hardness(pairs, HardnessConfig(clip=clip_name))
    assert len(hardness.delta) == 4 and all(-1 <= delta <= 1 for delta in hardness.delta)
    assert hardness.delta_mean == pytest.approx(sum(hardness.delta) / 4)
    record = hardness.record
    assert record["images"] == 3 and record["splitter"] == "rule-1" and record["truncated_texts"] == 1
    assert record["pieces_chosen_mean"] == (3 + 1 + 1 + 1) / 4
    assert record["pieces_rejected_mean"] == (1 + 2 + 1 + 1) / 4
    assert record["logit_scale"] == pytest.approx(1 / 0.07, rel=1e-4)
    assert record["delta_count_correlation"] == pytest.approx(np.corrcoef(hardness.delta, [2, -1, 0, 0])[0, 1])
    assert sum(record["summary"]["counts"]) == 4


def test_the_record_knows_the_files_of_a_clip_also_of_hardness_that_was_computed_before(
    clip_name: str, pairs: list[Pair]
) -> None:
    first, again = (compute_hardness(pairs, HardnessConfig(clip=clip_name)).record for _ in range(2))
    assert first == again and first["clip_files"] == files_hash(clip_name)
    assert files_hash("ViT-L-14-336/openai") == files_hash("local-dir:/not/there") == files_hash("hf-hub:a/b.pt") == ""


def test_deltas_follow_from_the_embeddings(clip_name: str, pairs: list[Pair]) -> None:
    clip = ClipModel(clip_name)
    image = clip.encode_images(by_hash(pairs[2].images))
    text = clip.encode_texts({"chosen": pairs[2].chosen, "rejected": pairs[2].rejected})
    expected = (text["chosen"] - text["rejected"]) @ next(iter(image.values()))
    for how in ("sum", "mean", "whole"):
        delta = compute_hardness([pairs[2]], HardnessConfig(clip=clip_name, aggregation=how)).delta
        assert delta == [pytest.approx(expected.item(), abs=1e-6)]


def test_another_image_than_its_key_says_is_refused(clip_name: str, pairs: list[Pair]) -> None:
    with pytest.raises(DataError, match="was changed while it was read"):
        ClipModel(clip_name).encode_images({content_hash(png(0)): pairs[3].images[0]})


def test_of_several_images_each_piece_takes_its_best_and_a_pair_without_has_the_mean(
    clip_name: str, pairs: list[Pair]
) -> None:
    clip = ClipModel(clip_name)
    several = Pair("several", "A red bus.", "A blue bus.", (png(0), png(1)))
    image = clip.encode_images(by_hash(several.images))
    text = clip.encode_texts({"chosen": "A red bus.", "rejected": "A blue bus."})
    best = [max((text[piece] @ each).item() for each in image.values()) for piece in ("chosen", "rejected")]
    without = Pair("without", "Two.", "Three.", ())
    hardness = compute_hardness([several, without, pairs[2]], HardnessConfig(clip=clip_name, aggregation="whole"))
    assert hardness.delta[0] == pytest.approx(best[0] - best[1], abs=1e-6)
    assert hardness.delta[1] == hardness.delta_mean == pytest.approx((hardness.delta[0] + hardness.delta[2]) / 2)
    assert hardness.record["pairs_without_image"] == 1 and "pairs_without_image" not in _record(clip_name, pairs)
    with pytest.raises(DataError, match="1 pairs without an image"):
        compute_hardness([without], HardnessConfig(clip=clip_name))


def _record(clip_name: str, pairs: list[Pair]) -> dict[str, Any]:
    return compute_hardness(pairs, HardnessConfig(clip=clip_name)).record


def test_batch_size_does_not_matter_and_embeddings_are_computed_once(
    clip_name: str, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[int] = []
    embed = ClipModel._embed_pixels

    def counted(self: ClipModel, pixels: Any) -> Any:
        seen.append(len(pixels))
        return embed(self, pixels)

    monkeypatch.setattr(ClipModel, "_embed_pixels", counted)
    first = compute_hardness(pairs, HardnessConfig(clip=clip_name))
    assert seen == [3]
    compute_hardness(pairs, HardnessConfig(clip=clip_name, aggregation="mean"))
    assert seen == [3]
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "other"))
    second = compute_hardness(pairs, HardnessConfig(clip=clip_name, clip_batch=1))
    assert seen == [3, 1, 1, 1] and second.delta == pytest.approx(first.delta, abs=1e-5)


def test_a_known_result_is_not_computed_again(
    clip_name: str, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compute_hardness(pairs, HardnessConfig(clip=clip_name))
    monkeypatch.setattr(clip_hardness, "_score", lambda *_: pytest.fail("computed again"))
    assert compute_hardness(pairs, HardnessConfig(clip=clip_name)) == first


def garbled(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def of_others(file: Path) -> None:
    file.write_text(json.dumps({"delta": [0.5], "delta_mean": 0.5, "record": {}}))


def not_finite(file: Path) -> None:
    file.write_text(json.dumps({"delta": [float("nan")] * 4, "delta_mean": float("nan"), "record": {}}))


@pytest.mark.parametrize("damage", [garbled, cut, of_others, not_finite])
@pytest.mark.parametrize("cache", ["hardness/*.json", "clip/*/*/*.npz"])
def test_a_damaged_cache_is_made_anew_and_gives_the_same(
    clip_name: str, pairs: list[Pair], tmp_path: Path, cache: str, damage: Callable[[Path], None]
) -> None:
    first = compute_hardness(pairs, HardnessConfig(clip=clip_name))
    for file in (tmp_path / "cache").glob(cache):
        damage(file)
    for file in (tmp_path / "cache/hardness").iterdir() if cache.startswith("clip") else ():
        file.unlink()
    with pytest.warns(UserWarning, match="is damaged .*: it is thrown away and made anew"):
        assert compute_hardness(pairs, HardnessConfig(clip=clip_name)) == first
    assert compute_hardness(pairs, HardnessConfig(clip=clip_name)) == first


def test_permutation_keeps_the_deltas_and_their_mean(clip_name: str, pairs: list[Pair]) -> None:
    plain = compute_hardness(pairs, HardnessConfig(clip=clip_name))
    dealt = [compute_hardness(pairs, HardnessConfig(clip=clip_name, permute_seed=seed)) for seed in range(4)]
    assert all(sorted(one.delta) == sorted(plain.delta) and one.delta_mean == plain.delta_mean for one in dealt)
    assert any(one.delta != plain.delta for one in dealt)
    assert dealt[0].record["permute_seed"] == 0


def test_other_weights_have_another_identity(clip_name: str, tmp_path: Path) -> None:
    folder = Path(clip_name.removeprefix("local-dir:"))
    weights = torch.load(folder / "open_clip_pytorch_model.bin")
    weights["visual.proj"] = weights["visual.proj"] + 1
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    torch.save(weights, tmp_path / "open_clip_pytorch_model.bin")
    assert ClipModel(f"local-dir:{tmp_path}").identity != ClipModel(clip_name).identity


def test_a_clip_without_weights_is_refused(clip_name: str, tmp_path: Path) -> None:
    folder = Path(clip_name.removeprefix("local-dir:"))
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(UsageError, match="cannot be loaded"):
        ClipModel(f"local-dir:{tmp_path}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {n: t for n, t in w.items() if "ln_final" not in n}, "Missing key.*ln_final.weight"),
        (lambda w: w | {"extra": torch.zeros(1)}, "Unexpected key.*extra"),
        (lambda w: w | {"text_projection": torch.zeros(16, 8)}, "size mismatch for text_projection"),
        (
            lambda w: w | {"text_projection": torch.full((16, 16), math.nan)},
            r"\(text_projection\) .*not finite",
        ),
        (
            lambda w: w | {"visual.positional_embedding": w["visual.positional_embedding"].repeat(4, 1)[1:]},
            "size mismatch for visual.positional_embedding",
        ),
        (
            lambda w: w | {"positional_embedding": w["positional_embedding"].repeat(2, 1)},
            "size mismatch for positional_embedding",
        ),
        (lambda w: [1, 2], "cannot be loaded"),
        (lambda w: {}, "cannot be loaded"),
    ],
)
def test_a_clip_that_is_not_whole_or_not_finite_is_refused_by_name(
    clip_name: str, tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    folder = Path(shutil.copytree(clip_name.removeprefix("local-dir:"), tmp_path / "clip"))
    file = folder / "open_clip_pytorch_model.bin"
    torch.save(change(torch.load(file)), file)
    with pytest.raises(UsageError, match=f"CLIP 'local-dir:{folder}'.*{said}"):
        ClipModel(f"local-dir:{folder}")


@pytest.mark.parametrize("content", ["[", "null", "\0", "[" * 100_000, '{"model_cfg": 3, "preprocess_cfg": {}}'])
def test_a_clip_whose_configuration_is_none_is_one_message(clip_name: str, tmp_path: Path, content: str) -> None:
    folder = Path(shutil.copytree(clip_name.removeprefix("local-dir:"), tmp_path / "clip"))
    (folder / "open_clip_config.json").write_text(content)
    with pytest.raises(UsageError, match=f"CLIP 'local-dir:{folder}' cannot be loaded"):
        ClipModel(f"local-dir:{folder}")


def test_errors_name_the_pair(clip_name: str, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"Pair e: the rejected response is empty"):
        compute_hardness([*pairs, Pair("e", "A dog.", " ", png(0))], HardnessConfig(clip=clip_name))

    class Failing(Splitter):
        name = "failing"

        def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
            raise SplitError(3, "no list")

    monkeypatch.setattr(clip_hardness, "make_splitter", lambda config: Failing())
    with pytest.raises(HarnessError, match="Pair b, rejected response: no list"):
        compute_hardness(pairs, HardnessConfig(clip=clip_name))


def test_settings_and_names_are_checked() -> None:
    assert parse_name("ViT-L-14-336/openai") == ("ViT-L-14-336", "openai")
    assert parse_name("ViT-B-32//models/x.pt") == ("ViT-B-32", "/models/x.pt")
    assert parse_name("hf-hub:a/b") == ("hf-hub:a/b", None)
    for name in ("ViT-L-14", "/openai", "local-dir:/nowhere"):
        with pytest.raises(UsageError, match=r"[Ee]xpected"):
            ClipModel(name)
    with pytest.raises(UsageError, match="splitter_model"):
        HardnessConfig(splitter="llm")


def test_a_home_that_does_not_answer_is_said_and_the_name_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrapped as open_clip wraps what huggingface_hub raises."""

    def fails(*words: object, **options: object) -> None:
        try:
            raise LocalEntryNotFoundError("Please check your connection.")
        except LocalEntryNotFoundError as error:
            raise RuntimeError("Failed to download weights for tag 'openai'.") from error

    monkeypatch.setattr("open_clip.create_model_from_pretrained", fails)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(Unreachable, match=r"does not answer: .* --set clip=local-dir:PATH") as caught:
        ClipModel("ViT-L-14-336/openai")
    assert "Expected" not in str(caught.value)


def test_where_weights_are_known_to_be_here_and_a_path_holds_from_anywhere(
    clip_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    openai, hub = "ViT-L-14-336/openai", "hf-hub:timm/vit_large_patch14_clip_336.openai"
    assert is_local(clip_name) and not is_local(openai) and not is_local(hub)
    repository = tmp_path / "models--timm--vit_large_patch14_clip_336.openai"
    for file, text in (("refs/main", "abc"), ("snapshots/abc/open_clip_model.safetensors", "")):
        (repository / file).parent.mkdir(parents=True)
        (repository / file).write_text(text)
    assert is_local(openai) and is_local(hub)
    monkeypatch.chdir(tmp_path)
    assert not is_local("ViT-B-32/x.pt") and absolute("ViT-B-32/x.pt") == "ViT-B-32/x.pt"
    Path("x.pt").touch()
    assert is_local("ViT-B-32/x.pt") and absolute("ViT-B-32/x.pt") == f"ViT-B-32/{tmp_path}/x.pt"
    assert absolute("local-dir:clip") == f"local-dir:{tmp_path}/clip"
    assert absolute(openai) == openai and absolute(hub) == hub


def test_correlation_of_a_constant_is_none() -> None:
    assert correlation(np.array([1.0, 2.0]), np.array([3, 3])) is None
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([2, 4, 6])) == pytest.approx(1.0)
