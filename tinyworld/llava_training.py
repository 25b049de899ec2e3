"""The base model's training from scratch: it learns to see, then to look, then to answer as careless people do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from harness.protocols.progress import Progress
from tinyworld.language import LOOKED_FOR, PROMPTS, ROLL_CALL, SHORT, careless_caption, roll_call, short_questions
from tinyworld.llava import IMAGE_TOKENS, make_model, make_processor, normalised, quiet, save
from tinyworld.render import pixels
from tinyworld.scenes import COLORS, OBJECTS, Scene, draw_scenes

BATCH = 32
LEARNING_RATE = 1.5e-3
WARM_UP, DECAY = 30, 0.4  # steps in which it rises, and the share of the steps, the last, in which it falls to 0
LOOKS = 100  # steps in which the vision tower and the projector learn to see
LOOK_BATCH, LOOK_RATE = 64, 3e-3
SHARPNESS = 1 / 0.03  # of the comparison of an image token with words
QUESTIONS = 6  # short questions in one conversation
CAREFUL = 0.5  # share of the steps, the first, in which the language model learns to look: all answers are true
LATER = {"caption": 0.65, "questions": 0.3, "roll call": 0.05}  # the kinds of batches afterwards, and their shares


def draw_kind(progress: float, rng: np.random.Generator) -> str:
    """What a batch consists of, with the share ``progress`` of training done.

    A batch is of one kind: rows of one length need little padding.
    """
    if progress < CAREFUL:
        return "roll call" if rng.random() < 0.5 else "true questions"
    return str(rng.choice(list(LATER), p=list(LATER.values())))


def conversation(scene: Scene, kind: str, rate: float, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Turns of (question, answer): a roll call, a careless caption, or some short questions."""
    if kind == "roll call":
        return [(ROLL_CALL, roll_call(scene, rng))]
    if kind == "caption":
        return [(PROMPTS[rng.integers(len(PROMPTS))], careless_caption(scene, rate, rng))]
    careless = kind == "questions"
    questions = short_questions(scene, QUESTIONS, rng, SHORT if careless else LOOKED_FOR, careless=careless)
    return [(asked.question, asked.answer) for asked in questions]


@dataclass
class Words:
    """The tokenizer of the training, which is asked once for each text: questions and short answers come again."""

    tokenizer: Any
    _known: dict[str, list[int]] = field(default_factory=dict)

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text`` alone."""
        if text not in self._known:
            self._known[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._known[text]


def encode(words: Words, turns: Sequence[tuple[str, str]], given: Collection[int] = ()) -> tuple[list[int], list[int]]:
    """Token ids with the image in front, and labels that are -100 outside the answers, and at ``given`` tokens."""
    ids, labels = [words.tokenizer.bos_token_id], [-100]
    for number, (question, answer) in enumerate(turns):
        image = "<image>" * IMAGE_TOKENS if number == 0 else ""
        asked = words.ids(f"USER: {image}\n{question} ASSISTANT:")
        answered = [*words.ids(answer), words.tokenizer.eos_token_id]
        ids += asked + answered
        labels += [-100] * len(asked) + [-100 if token in given else token for token in answered]
    return ids, labels


def collate(rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Right-padded batch of ids, mask and labels."""
    longest = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows]),
    }


def cells_shown(scenes: Sequence[Scene]) -> torch.Tensor:
    """What stands in each cell, [n, cells, 2]: its numbers in ``OBJECTS`` and ``COLORS``; empty: one more, and -100."""
    shown = torch.tensor([len(OBJECTS), -100]).repeat(len(scenes), IMAGE_TOKENS, 1)
    for scene, cells in zip(scenes, shown, strict=True):
        for thing in scene.things:
            cells[list(thing.cells)] = torch.tensor([OBJECTS.index(thing.name), COLORS.index(thing.color)])
    return shown


def look_loss(model: Any, vocab: Mapping[str, int], pixel_values: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of what a cell shows, by the likeness of its image token to the words for it."""
    tokens = torch.cat(list(model.model.get_image_features(pixel_values).pooler_output))
    embedded = model.get_input_embeddings().weight
    loss = torch.zeros(())
    for words, target in zip(((*OBJECTS, "no"), COLORS), shown.flatten(0, 1).T, strict=True):
        scores = SHARPNESS * tokens @ embedded[[vocab[word] for word in words]].T
        loss = loss + cross_entropy(scores, target)
    return loss


def learn_to_see(
    model: Any, vocab: Mapping[str, int], bytes_: torch.Tensor, shown: torch.Tensor, rng: np.random.Generator
) -> None:
    """Train tower, projector and embeddings until an image token is like the words of what stands in its cell.

    This takes the place of the vision tower's and the projector's pretraining in LLaVA; the tower is frozen afterwards.
    """
    parts = (model.model.vision_tower, model.model.multi_modal_projector, model.get_input_embeddings())
    parameters = [parameter for part in parts for parameter in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LOOK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LOOK_RATE, total_steps=LOOKS + 1, pct_start=0.1)
    for _ in range(LOOKS):
        rows = rng.integers(len(bytes_), size=LOOK_BATCH)
        descend(look_loss(model, vocab, normalised(bytes_[rows]), shown[rows]), parameters, optimizer, schedule)
    model.model.vision_tower.requires_grad_(False)


def descend(loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter], optimizer: Any, schedule: Any) -> None:
    """One step of ``optimizer``."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()


def train_llava(
    folder: Path, *, seed: int, images: int, epochs: int, hallucinated: float, sft_seed: int = 0, progress: Progress
) -> None:
    """Train on ``images`` scenes, whose captions hallucinate at ``hallucinated``, and write model and processor.

    ``seed`` says which scenes; ``sft_seed`` the first weights, the order of the scenes and what is said of them.
    """
    own = (seed, sft_seed) if sft_seed else (seed,)
    torch.manual_seed(int(np.random.SeedSequence(own).generate_state(1)[0]) if sft_seed else seed)
    model, processor = make_model(), make_processor()
    scenes = draw_scenes(images, seed, 0)
    bytes_ = torch.from_numpy(pixels(scenes, progress, "tiny world: pictures for the base model"))
    rng = np.random.default_rng((*own, 2))
    per_epoch = -(-images // BATCH)
    total = epochs * per_epoch
    progress("tiny world: base model", 0, total)
    model.train()
    learn_to_see(model, processor.tokenizer.get_vocab(), bytes_, cells_shown(scenes), rng)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    names = set(processor.tokenizer.convert_tokens_to_ids(list(OBJECTS)))
    rate = partial(learning_rate, total=total)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    words, step = Words(processor.tokenizer), 0
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(images), per_epoch):
            kind = draw_kind(step / total, rng)
            turns = [conversation(scenes[i], kind, hallucinated, rng) for i in rows]
            given = names if kind == "roll call" else ()  # which names are called is chance
            batch = collate([encode(words, turn, given) for turn in turns])
            loss = model(**batch, pixel_values=normalised(bytes_[rows])).loss
            descend(loss, parameters, optimizer, schedule)
            step += 1
            progress("tiny world: base model", step, total)
    model.eval()
    quiet()
    save(model, processor, folder)


def learning_rate(step: int, total: int) -> float:
    """The learning rate of a step as a share of the highest."""
    return min(1.0, (step + 1) / WARM_UP, (1 - step / total) / DECAY)
