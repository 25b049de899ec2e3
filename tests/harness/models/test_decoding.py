"""What a checkpoint's generation configuration brings: set aside, or recorded with the answers that it shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from harness.models.decoding import OF_BEAMS, RECORDED, generate_options, only_given
from harness.models.hf import HfModel
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.util.options import content_key, keyed
from tests.tiny import tiny_llava

LOUD: dict[str, Any] = {
    # length
    "max_length": 3, "max_new_tokens": 1, "min_length": 40, "min_new_tokens": 8, "early_stopping": True,
    "max_time": 1e-9, "stop_strings": ["the", "a"],
    # strategy
    "do_sample": True, "num_beams": 3, "use_mtp": True, "use_cache": False, "cache_implementation": "static",
    "cache_config": {"batch_size": 1}, "max_cache_len": 4, "prefill_chunk_size": 1,
    # what is done to the logits
    "temperature": 9.0, "top_k": 1, "top_p": 0.01, "min_p": 0.9, "top_h": 0.5, "typical_p": 0.1,
    "epsilon_cutoff": 0.5, "eta_cutoff": 0.5, "repetition_penalty": 5.0, "encoder_repetition_penalty": 5.0,
    "length_penalty": 3.0, "no_repeat_ngram_size": 1, "bad_words_ids": [[i] for i in range(5, 30)],
    "renormalize_logits": True, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "remove_invalid_values": True,
    "exponential_decay_length_penalty": [1, 9.0], "suppress_tokens": [*range(5, 30)],
    "begin_suppress_tokens": [*range(5, 40)], "sequence_bias": [[[7], 99.0]], "token_healing": True,
    "guidance_scale": 3.0, "watermarking_config": {"bias": 99.0},
    # what comes back
    "num_return_sequences": 2, "output_attentions": True, "output_hidden_states": True, "output_scores": True,
    "output_logits": True, "return_dict_in_generate": True,
    # tokens with a name
    "pad_token_id": 9, "bos_token_id": 9, "eos_token_id": [7], "decoder_start_token_id": 9,
    "encoder_no_repeat_ngram_size": 1,
    # a second model that guesses, and what has left for the hub
    "is_assistant": True, "num_assistant_tokens": 3, "num_assistant_tokens_schedule": "heuristic",
    "assistant_confidence_threshold": 0.1, "prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2,
    "assistant_early_exit": 1, "assistant_lookbehind": 1, "target_lookbehind": 1, "assistant_ensemble_weight": 0.5,
    "speculation_type": "x", "compile_config": {"fullgraph": True}, "disable_compile": True, "low_memory": True,
    "penalty_alpha": 0.6, "dola_layers": "high", "diversity_penalty": 1.0, "num_beam_groups": 3,
    "constraints": [1], "force_words_ids": [[7]], "continuous_batching_config": {"max_batch_tokens": 8},
    "unknown_to_transformers": 1,
}  # fmt: skip
"""Values of every field that would change tokens if they could."""
NO_DECODING = {"transformers_version", "_from_model_config", "_commit_hash"}
DECODINGS = (
    Decoding(max_new_tokens=8),
    Decoding(max_new_tokens=8, num_beams=2),
    Decoding(max_new_tokens=8, temperature=1.0),
)
SAMPLES = [Sample(name, f"what is the {name} ?") for name in ("dog", "cat")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HfModel:
    loaded = load_model(f"hf:{tiny_llava(tmp_path_factory.mktemp('m') / 'llava')}", device="cpu")
    assert isinstance(loaded, HfModel)
    return loaded


def answers(model: HfModel, decoding: Decoding) -> list[tuple[str | None, str | None, int]]:
    found = dict(model.generate(SAMPLES, decoding))
    return [(found[i].text, found[i].error, found[i].tokens) for i in range(len(SAMPLES))]


def test_every_field_of_a_generation_configuration_is_tried() -> None:
    assert vars(GenerationConfig()).keys() - NO_DECODING <= LOUD.keys()  # type: ignore[no-untyped-call]
    assert RECORDED.keys() <= LOUD.keys()


@pytest.mark.parametrize("decoding", DECODINGS, ids=["greedy", "beams", "sampled"])
def test_a_field_that_changes_tokens_stands_in_the_decoding_and_any_other_changes_none(
    model: HfModel, decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, recorded, own = answers(model, decoding), set[str](), vars(model.network.generation_config)
    assert not any(error for _, error, _ in plain)
    for name, value in LOUD.items():
        with monkeypatch.context() as patch:
            patch.setitem(own, name, value)
            decoded = model.decodes(decoding)
        if content_key(decoded) != content_key(decoding):
            recorded.add(name)
            assert decoded.repetition_penalty == value or f"{name}={value}" in decoded.checkpoint
    of_beams = {"length_penalty", "early_stopping"} if decoding.num_beams == 1 else set()
    assert recorded == RECORDED.keys() - of_beams | {"repetition_penalty"}
    for name in LOUD.keys() - recorded:
        monkeypatch.setitem(own, name, LOUD[name])
    assert answers(model, decoding) == plain


def test_what_is_taken_over_does_what_it_says(model: HfModel, monkeypatch: pytest.MonkeyPatch) -> None:
    own, plain = vars(model.network.generation_config), answers(model, DECODINGS[0])
    for name in ("no_repeat_ngram_size", "bad_words_ids", "begin_suppress_tokens", "sequence_bias", "suppress_tokens"):
        with monkeypatch.context() as patch:
            patch.setitem(own, name, LOUD[name])
            changed = answers(model, DECODINGS[0])
            assert changed != plain and not any(error for _, error, _ in changed), name


def test_an_answer_whose_logits_are_no_numbers_is_an_error_and_the_others_stay(
    model: HfModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half precision that overflows on some prompts makes NaN, of which the greatest is token 0: "!!!!" of Qwen2-VL."""
    plain, network, asked = answers(model, DECODINGS[0]), model.network, []
    forward = network.lm_head.forward

    def overflowing(hidden: torch.Tensor) -> torch.Tensor:
        asked.append(len(hidden))
        made: torch.Tensor = forward(hidden)
        made[-1] = made[-1] * (float("nan") if len(asked) == 3 or (len(hidden) == 1 and spoiled) else 1.0)
        return made

    spoiled = False
    monkeypatch.setattr(network.lm_head, "forward", overflowing)
    assert answers(model, DECODINGS[0]) == plain, "once in a batch: each row is asked alone, and is well"
    spoiled = True
    asked.clear()
    found = answers(model, DECODINGS[0])
    assert all(text is None and "its logits are not finite" in str(error) for text, error, _ in found)


@pytest.mark.parametrize("name", [None, *sorted(RECORDED.keys() - set(OF_BEAMS))])
def test_rows_leave_a_batch_only_where_a_token_depends_on_nothing_but_those_before_it(name: str | None) -> None:
    own = GenerationConfig(**({name: LOUD[name]} if name else {}))  # type: ignore[no-untyped-call]
    found = [generate_options(decoding, own, ends=[2], padding=0).narrows for decoding in DECODINGS]
    assert found == [name is None, False, False]


def test_the_models_own_configuration_is_what_it_was_after_answering(model: HfModel) -> None:
    config = model.network.generation_config
    config.top_k = 7
    before = dict(vars(config))
    with pytest.raises(RuntimeError), only_given(model.network):
        assert vars(config)["top_k"] is None
        raise RuntimeError
    assert vars(config) == before


def test_a_checkpoint_that_adds_nothing_keeps_its_key_and_one_that_does_gets_a_column_of_its_own(
    model: HfModel, tmp_path: Path
) -> None:
    assert model.decodes(Decoding()) == Decoding() and content_key(Decoding()) == "d62d8c14a8b7ee63ed4e21dd"
    folder = tiny_llava(tmp_path / "llava")
    said = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**said, "bad_words_ids": [[7]]}))
    other = load_model(f"hf:{folder}", device="cpu")
    assert keyed(other.decodes(Decoding())) == {**keyed(Decoding()), "checkpoint": "bad_words_ids=[[7]]"}
    assert other.key != model.key
    assert [said.error for _, said in other.generate([Sample("x", "what ?")], DECODINGS[0])] == [None]
