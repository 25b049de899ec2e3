"""Names as they are typed: of models, endpoints, runs and recipes."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

from harness.chat.endpoint import is_loopback, is_private, origin, parse_endpoint, without_secrets
from harness.models.spec import model_id, parse_spec
from harness.util.names import require_name, require_text
from recipes import find_recipe
from tests.fuzz import mutation
from tests.fuzz.target import Target
from workflows.suites import members_of, split_names

MODELS = ("hf:owner/model", "openai:m@http://127.0.0.1:8000/v1", "replay:answers.jsonl", "run:dama-s0")
ENDPOINTS = ("gpt-4o", "m@2025@http://localhost:8000/v1", "m@https://[::1]:80/v1/", "m@https://api.example.org/v1")
RUNS = ("dama-s0", "dpo at 0.1", "ü-1", "a.b_c=1")
SUITES = ("hallucination", "pope,amber", "all", "lmms:mme,mmbench")


def model(given: str) -> None:
    spec = parse_spec(given)
    assert spec.kind and spec.target
    model_id(given)


def endpoint(given: str) -> None:
    """What is taken for a base URL is one, without a password in it."""
    name, url = parse_endpoint(given, "--judge")
    split = urlsplit(url)
    assert name and split.hostname and split.scheme in ("http", "https") and "@" not in split.netloc
    origin(url), is_loopback(url), is_private(url), without_secrets(url)


def run(given: str) -> None:
    """A run's name is one entry of a folder."""
    require_text("label", given)
    name = require_name("--name", given)
    assert "/" not in name and name not in ("", ".", "..")
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)


def recipe(given: str) -> None:
    assert find_recipe(given).is_file()


def suite(given: str) -> None:
    split_names([given])
    members_of(given, ()) if "," not in given else members_of(None, [given])


def targets() -> list[Target]:
    """One a kind of name."""
    return [
        Target("models' names", MODELS, mutation.text, model, 60),
        Target("endpoints", ENDPOINTS, mutation.text, endpoint),
        Target("runs' names", RUNS, mutation.text, run),
        Target("recipes' names", ("demo", "ablation", "tinyworld"), mutation.text, recipe, 30),
        Target("suites' names", SUITES[:3], mutation.text, suite, 30),
    ]
