"""Building the embedded world: CLIP and base model side by side, then pairs and benchmarks; every part is cached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from harness.protocols.progress import Progress, silent
from harness.util.files import Taken, making, write_text
from harness.util.jsonl import iter_jsonl, write_jsonl
from harness.util.options import content_key
from harness.util.paths import home
from harness.util.pool import Pool, report, workers
from harness.util.ranges import at_least, require_ranges, share

BENCH_PARTS = ("halbench", "amber", "mmhal", "pope", "mmvet", "llavabench", "tuning")
SYNTHETIC = "embedded world (synthetic), not a real benchmark"
"""What everything that is made here, and every figure on it, is called."""
README = f"""# {SYNTHETIC[0].upper()}{SYNTHETIC[1:]}

Scenes drawn by the DAMA harness, and small models trained on them: the whole chain can be tried without a download.
Files of benchmarks have the official formats, not the official contents.
"""
VERSION = 5  # of what the code makes of the settings: raise it when scenes, pictures, language or training change


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Everything that determines the embedded world.

    Args:
        world_seed: all seeds derive from it.
        sft_images: scenes the base model is trained on.
        sft_epochs: passes over them.
        sft_hallucinated: share of its captions that name absent objects typical of the place.
        sft_seed: of the base model alone: its first weights, the order of its scenes and what is said of them; all else
            of the world stays as it is, but for the pairs, which are made of its answers.
        clip_images: scenes CLIP is trained on, none of the base model's.
        clip_epochs: passes over them.
        pair_images: scenes of the preference pairs, a pair each.
        heldout_images: the same of the held-out pairs.
        easy_share: share of the pairs of captions whose rejected response answers another image.
        question_share: share of the pairs that answer a yes/no question.
        label_noise: share of the training pairs whose labels are exchanged; held-out pairs stay right.
        halbench_images: scenes of Object HalBench.
        amber_images: scenes of AMBER's captions.
        amber_questioned: those of them that are asked about too.
        mmhal_questions: questions of MMHal-Bench.
        pope_images: scenes of POPE.
        mmvet_questions: questions of MM-Vet.
        llavabench_images: scenes of LLaVA-Bench.
        tuning_images: scenes of the tuning split (Object HalBench alone), on which settings are chosen.
    """

    world_seed: Annotated[int, at_least(0)] = 0
    sft_images: Annotated[int, at_least(1, "scenes")] = 6000
    sft_epochs: Annotated[int, at_least(1, "passes")] = 5
    sft_hallucinated: Annotated[float, share()] = 0.7
    sft_seed: Annotated[int, at_least(0)] = 0
    clip_images: Annotated[int, at_least(1, "scenes")] = 6000
    clip_epochs: Annotated[int, at_least(1, "passes")] = 6
    pair_images: Annotated[int, at_least(1, "scenes")] = 1200
    heldout_images: Annotated[int, at_least(1, "scenes")] = 150
    easy_share: Annotated[float, share()] = 0.5
    question_share: Annotated[float, share()] = 0.25
    label_noise: Annotated[float, share()] = 0.0
    halbench_images: Annotated[int, at_least(1, "scenes")] = 500
    amber_images: Annotated[int, at_least(1, "scenes")] = 400
    amber_questioned: Annotated[int, at_least(1, "scenes")] = 150
    mmhal_questions: Annotated[int, at_least(1, "questions")] = 96
    pope_images: Annotated[int, at_least(1, "scenes")] = 80
    mmvet_questions: Annotated[int, at_least(1, "questions")] = 64
    llavabench_images: Annotated[int, at_least(1, "scenes")] = 20
    tuning_images: Annotated[int, at_least(1, "scenes")] = 300

    def __post_init__(self) -> None:
        require_ranges(self, "the embedded world")

    def subset(self, *prefixes: str) -> dict[str, Any]:
        """The settings whose names begin with one of ``prefixes``, with the seed: what an artefact is keyed by.

        ``sft_seed`` 0 is no part of it: worlds of before that setting keep their keys.
        """
        named = {name: value for name, value in vars(self).items() if name.startswith(prefixes)}
        if not self.sft_seed:
            named.pop("sft_seed", None)
        return {"version": VERSION, "world_seed": self.world_seed, **named}


@dataclass(frozen=True)
class World:
    """Where the parts lie.

    ``pairs`` and ``heldout_pairs`` are JSONL files; ``bench_dir`` and ``tuning_dir`` hold a directory a benchmark.
    """

    model_dir: Path
    clip_dir: Path
    pairs: Path
    heldout_pairs: Path
    bench_dir: Path
    tuning_dir: Path

    @property
    def built(self) -> bool:
        """Whether all of it is there."""
        return all(path.exists() for path in vars(self).values())


def located(config: WorldConfig, root: Path | None = None) -> World:
    """Where the parts of the world of ``config`` lie, or will lie once it is built; ``root`` as of ``build``."""
    root = (root or home() / "tinyworld").absolute()
    base, clip = config.subset("sft"), config.subset("clip")
    clean = {**base, **config.subset("pair", "heldout", "easy", "question")}
    bench_dir = root / f"bench-{content_key(config.subset(*BENCH_PARTS))}"
    return World(
        model_dir=root / f"base-{content_key(base)}",
        clip_dir=root / f"clip-{content_key(clip)}",
        pairs=root / f"labels-{content_key(clean, config.label_noise)}" / "train.jsonl",
        heldout_pairs=root / f"pairs-{content_key(clean)}" / "heldout.jsonl",
        bench_dir=bench_dir / "report",
        tuning_dir=bench_dir / "tuning",
    )


def build(config: WorldConfig, root: Path | None = None, progress: Progress = silent) -> World:
    """The world of ``config``, built where parts of it are absent.

    Args:
        root: where parts are kept, one directory each, named by the hash of the settings it depends on; by default
            ``tinyworld`` in the home of artefacts.
        progress: called with (what, steps done, steps in all).
    """
    world = located(config, root)
    world.model_dir.parent.mkdir(parents=True, exist_ok=True)
    missing = [path for path in vars(world).values() if not path.exists()]
    with _side_by_side() if set(missing) - {world.pairs} else contextlib.nullcontext() as pool:
        if pool is not None:
            _models_and_benchmarks(config, world, pool, progress)
            _once(world.heldout_pairs.parent, partial(_pairs, config, world.model_dir, pool, progress))
    _once(world.pairs.parent, partial(_labels, config, world.heldout_pairs.parent))
    return world


def _side_by_side() -> contextlib.AbstractContextManager[Pool]:
    """Two processes with one thread each: two threads each are slower on two cores."""
    return workers(2, threads=1)


def _once(folder: Path, make: Callable[[Path], None]) -> None:
    """``make`` the folder unless it is there; it appears whole or not at all."""
    if folder.exists():
        return
    with contextlib.suppress(Taken), making(folder) as part:  # another process made the same one meanwhile
        make(part)
        write_text(part / "README.md", README)


def _models_and_benchmarks(config: WorldConfig, world: World, pool: Pool, progress: Progress) -> None:
    """Make what is absent of base model, CLIP and benchmarks; the base model takes longest and is begun first."""
    base = {
        "images": config.sft_images,
        "epochs": config.sft_epochs,
        "hallucinated": config.sft_hallucinated,
        "sft_seed": config.sft_seed,
    }
    clip = {"images": config.clip_images, "epochs": config.clip_epochs}
    jobs: list[tuple[Path, Callable[..., None], Mapping[str, Any]]] = [
        (world.model_dir, _train_base, {"seed": config.world_seed, **base}),
        (world.clip_dir, _train_clip, {"seed": config.world_seed, **clip}),
        (world.bench_dir.parent, _benchmarks, {"config": config}),
    ]
    futures = [pool.submit(make_once, *job) for job in jobs if not job[0].exists()]
    for future in pool.finished(futures, progress):
        future.result()


def make_once(folder: Path, make: Callable[..., None], settings: Mapping[str, Any]) -> None:
    """Run in a child process: make ``folder``."""
    _once(folder, partial(make, progress=report, **settings))


def _train_base(folder: Path, **settings: Any) -> None:
    from tinyworld.llava_training import train_llava

    train_llava(folder, **settings)


def _train_clip(folder: Path, **settings: Any) -> None:
    from tinyworld.clip import train_clip

    train_clip(folder, **settings)


# Splits are scenes of their own: each is drawn with the seed (world_seed, number of the split).
TRAIN, PAIRS, HELDOUT, TUNING, HALBENCH, AMBER, MMHAL, POPE, MMVET, LLAVABENCH = range(10)


SAMPLED = 150  # scenes of which a process samples captions at a time


def _pairs(config: WorldConfig, model_dir: Path, pool: Pool, progress: Progress, folder: Path) -> None:
    """clean.jsonl, heldout.jsonl and the images of both."""
    from tinyworld.pairs import make_pairs, pair_kinds, prompts_of, rows_of, sampled, write_images
    from tinyworld.scenes import draw_scenes

    sizes = {"clean": (PAIRS, config.pair_images), "heldout": (HELDOUT, config.heldout_images)}
    for name, (split, count) in sizes.items():
        scenes, prompts = draw_scenes(count, config.world_seed, split), prompts_of(count, config.world_seed, split)
        shares: dict[str, Any] = {"easy_share": config.easy_share, "question_share": config.question_share}
        seed = config.world_seed + split
        captioned = [i for i, kind in enumerate(pair_kinds(count, **shares, seed=seed)) if kind != "question"]
        futures = []
        for start in range(0, len(captioned), SAMPLED):
            part = captioned[start : start + SAMPLED]
            of = {i: scenes[i] for i in part}, {i: prompts[i] for i in part}
            futures.append(pool.submit(sampled, model_dir, *of, (config.world_seed, split, start)))
        samples: dict[int, list[str]] = {}
        for future in pool.finished(futures, progress):
            samples |= future.result()
            progress(f"tiny world: {name} pairs", len(samples), len(captioned))
        pairs = make_pairs(scenes, [samples.get(i, []) for i in range(count)], prompts, **shares, seed=seed)
        rows = rows_of(pairs, name)
        write_images(folder / name, scenes, rows)
        write_jsonl(folder / f"{name}.jsonl", rows)


def _labels(config: WorldConfig, clean_dir: Path, folder: Path) -> None:
    """train.jsonl: the clean pairs with ``label_noise`` of their labels exchanged; the images stay where they are."""
    from tinyworld.pairs import flip

    clean = [row for _, row in iter_jsonl(clean_dir / "clean.jsonl")]
    rows = flip(clean, config.label_noise, config.world_seed)
    # Relative to this file, so that the whole tree can be moved.
    write_jsonl(folder / "train.jsonl", [{**row, "image": f"../{clean_dir.name}/{row['image']}"} for row in rows])


def _benchmarks(folder: Path, *, config: WorldConfig, progress: Progress) -> None:
    """report/{object_halbench,amber,mmhal,pope,mm_vet,llava_bench} and tuning/object_halbench."""
    from tinyworld.export import export_amber, export_mmhal, export_object_halbench
    from tinyworld.export_general import export_llava_bench, export_mm_vet, export_pope
    from tinyworld.scenes import Scene, draw_scenes

    seed = config.world_seed
    report, tuning = folder / "report", folder / "tuning"

    def scenes(count: int, split: int) -> list[Scene]:
        return draw_scenes(count, seed, split)

    exports: list[Callable[[], object]] = [
        lambda: export_object_halbench(report / "object_halbench", scenes(config.halbench_images, HALBENCH)),
        lambda: export_amber(report / "amber", scenes(config.amber_images, AMBER), config.amber_questioned, seed),
        lambda: export_mmhal(report / "mmhal", scenes(4 * config.mmhal_questions, MMHAL), config.mmhal_questions, seed),
        lambda: export_pope(report / "pope", scenes(config.pope_images, POPE), seed),
        lambda: export_mm_vet(
            report / "mm_vet", scenes(4 * config.mmvet_questions, MMVET), config.mmvet_questions, seed
        ),
        lambda: export_llava_bench(report / "llava_bench", scenes(config.llavabench_images, LLAVABENCH), seed),
        lambda: export_object_halbench(tuning / "object_halbench", scenes(config.tuning_images, TUNING)),
    ]
    for done, export in enumerate(exports):
        progress("tiny world: benchmarks", done, len(exports))
        export()
    for made in (*report.iterdir(), *tuning.iterdir()):
        write_text(made / "README.md", README)  # also of a benchmark that is copied elsewhere
    progress("tiny world: benchmarks", len(exports), len(exports))
