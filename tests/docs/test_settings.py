"""docs/settings.md names every setting with its meaning; names of other tools lead to settings that exist."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

import click
import pytest
from click.testing import CliRunner

from aligners.objective import ALIGNERS
from aligners.training.config import AlignConfig
from cli import cli
from harness.errors import UsageError
from harness.models.settings import LoadSettings
from harness.protocols.progress import silent
from harness.util.documented import documented
from harness.util.options import build, parse_assignments
from harness.util.other_names import OTHER_NAMES
from tests.docs.settings_page import PAGE, page
from tests.house import ROOT
from tests.tiny import tiny_pairs
from workflows.align import kinds_of, resolve_alignment
from workflows.known_settings import COMMON, sections
from workflows.settings import deal_benchmarks, route


def test_the_page_is_what_the_dataclasses_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    unexplained = [f"{s.title}: {setting.name}" for s in sections() for setting, _ in s.settings if not setting.meaning]
    assert not unexplained, f"settings without a line under Args: or Settings: in their docstring: {unexplained}"


def test_a_name_from_elsewhere_answers_to_something_that_exists() -> None:
    known = {f"{s.part}.{setting.name}" for s in sections() for setting, _ in s.settings}
    known |= {setting.name for s in sections() for setting, _ in s.settings if s.alone or "." in setting.name}
    context = click.Context(cli)
    options = {
        flag
        for name in ("align", "bench")
        if (command := cli.get_command(context, name))
        for option in command.params
        for flag in [*option.opts, *option.secondary_opts]
    }
    lost = {name: ours.names for name, ours in OTHER_NAMES.items() if set(ours.names) - known - options}
    assert not lost
    own = {name for name in OTHER_NAMES if name in {f.name for f in documented(AlignConfig)}} - {"batch_size"}
    assert not own, "a name that is a setting here cannot be another's"
    assert all(ours.names or ours.note for ours in OTHER_NAMES.values())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("learning_rate=1e-5", r"'learning_rate'\. Here it is lr\.$"),
        ("train.num_train_epochs=3", r"Here it is epochs \(a whole number\)\.$"),
        ("per_device_train_batch_size=1", r"Here it is micro_batch \(batch_size counts"),
        ("max_pixels=1000", r"Here it is model.max_pixels\.$"),
        ("image_max_pixels=1000", r"Here it is model.max_pixels\.$"),
        ("trust_remote_code=true", r"Here it is model.trust_remote_code\.$"),
        ("bf16=true", r"Here it is dtype \(bf16=true is dtype=bfloat16\)\.$"),
        ("output_dir=x", r"Here it is --name \("),
        ("lora_r=8", r"Here it is lora_rank\.$"),
        ("lora_dropout=0.1", r"It has no counterpart here: adapters have no dropout"),
        ("load_in_4bit=true", r"Here it is quantize \("),
        ("learnin_rate=1e-4", r"'learnin_rate'\. Did you mean 'learning_rate'\? Here it is lr\.$"),
        ("lora_dropot=0.1", r"Did you mean 'lora_dropout'\? It has no counterpart here"),
        ("epoch=3", r"Did you mean 'epochs' \(train\)\?$"),
    ],
)
def test_a_name_of_another_tool_is_answered_with_ours(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        route(parse_assignments([word]), kinds_of("dama"), "align", others={"model": LoadSettings})


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("prompt=x", r"'prompt'\. What it holds is set as model\.NAME=VALUE; model\.NAME: .*\bsystem\b"),
        ("labl=x", r"Did you mean 'label' \(run\)\?$"),
        ("zzz=1", r"Known: train: (?!.*\bprompt\b).*; run: heldout, label, .*panel; model\.NAME: .*\btemplate\b"),
        ("lr=fast", r"lr='fast': expected a number\.$"),
    ],
)
def test_what_align_can_be_set_is_listed_and_what_is_internal_is_not(word: str, message: str, tmp_path: Path) -> None:
    """With files of one's own; the embedded world has the same settings."""
    files = {"model": "org/m", "data": str(tiny_pairs(tmp_path, count=2))}
    for given in (files, {}):
        with pytest.raises(UsageError, match=message):
            resolve_alignment({**given, **parse_assignments([word])}, silent, built=False)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("max_new_tokens=5", r"Here it is decoding\.max_new_tokens\.$"),
        ("load_in_4bit=true", r"Here it is model\.quantization \("),
        ("dtype=bfloat16", r"Did you mean 'model\.dtype'\?$"),
        ("concurrency=4", r"Did you mean '(judge|model)\.concurrency'"),
        ("learning_rate=1", r"Known: amber: .*; model\.NAME: .*; judge\.NAME: .*; scoring\.NAME: "),
    ],
)
def test_a_setting_of_a_part_of_bench_is_named_with_its_part(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        deal_benchmarks(["amber"], parse_assignments([word]))


def test_the_help_of_align_shows_ten_settings_with_their_defaults_and_imports_no_torch() -> None:
    words = "['align', '--help'], standalone_mode=False"
    code = f"import sys; from cli import cli; cli({words}); print('torch' in sys.modules)"
    shown = run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert len(COMMON) == 10
    for setting in documented(AlignConfig):
        if setting.name in COMMON:
            assert f"  {setting.name} [{setting.default}]" in shown
    assert shown.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["align", "--learning_rate", "1e-5"], "--set lr=VALUE"),
        (["align", "--lr", "1e-5"], "--set lr=VALUE"),
        (["align", "--output_dir", "x"], "Here it is --name."),
    ],
)
def test_a_setting_given_as_an_option_is_answered_with_how_it_is_given(words: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())


def test_words_of_yaml_that_are_booleans_are_choices_too() -> None:
    """`thinking=off` is false to YAML 1.1."""
    from harness.models.settings import PromptSettings

    assert build(PromptSettings, parse_assignments(["thinking=off"]), "model").thinking == "off"
    assert build(PromptSettings, parse_assignments(["thinking=on"]), "model").thinking == "on"


def test_every_aligner_has_its_settings_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ALIGNERS.listed():
        for setting in documented(ALIGNERS.get(name)):
            assert f"| `{setting.name}` |" in text
