"""docs/security.md names tests that exist, and the promises that no other test holds are kept."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.util.files import replacing, write_text
from tests.docs.test_pages import TEXT
from tests.house import ROOT, absent, modules, path_of
from workflows.export_model import copy_model

PAGE = TEXT["docs/security.md"]
PROMISES = re.findall(r"^\| (.+) \| `(tests/[\w/]+\.py)::(\w+)` \|$", PAGE, re.MULTILINE)


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "promise | test" not in line]
    assert len(PROMISES) == len(rows) > 20, "each row is a promise and one test"
    assert absent(f"{file}::{name}" for _, file, name in PROMISES) == []


def test_nothing_is_read_by_a_reader_that_runs_code() -> None:
    runs_code = {
        r"torch\.load\((?![^)]*weights_only=True)": "torch.load without weights_only",
        r"allow_pickle\s*=\s*True": "numpy's pickles",
        r"pickle\.(load|loads|Unpickler)\b": "pickle",
        r"yaml\.(load|unsafe_load|full_load)\((?!text, _Loader\))": "YAML that makes objects",
        r"(?<![\w.])(eval|exec)\(": "eval",
        r"shell\s*=\s*True|os\.system\(|os\.popen\(": "a shell",
        r"tempfile\.mktemp\(": "a temporary name that another may take first",
    }
    texts = {path_of(module): file.read_text(encoding="utf-8") for module, file in modules().items()}
    assert any("torch.load(" in text for text in texts.values()), "there is one to look at"
    found = {
        f"{path}: {what}" for path, text in texts.items() for rule, what in runs_code.items() if re.search(rule, text)
    }
    own = {"aligners/pairs/encodable.py: pickle", "harness/util/pool.py: pickle"}
    assert found == own, "which hand an encoder and an error to processes of their own"
    assert "class _Loader(yaml.SafeLoader)" in texts["harness/util/yaml_text.py"]


def test_a_chat_template_runs_in_a_sandbox() -> None:
    from jinja2.exceptions import SecurityError
    from transformers.utils.chat_template_utils import render_jinja_template

    hostile = "{{ messages.__class__.__base__.__subclasses__() }}"
    with pytest.raises(SecurityError):
        render_jinja_template([[{"role": "user", "content": "x"}]], chat_template=hostile)
    own = [path_of(m) for m, file in modules().items() if re.search(r"\bjinja2\b.*\bEnvironment\b", file.read_text())]
    assert own == ["leaderboards/page/html.py"], "whose template is the project's own; its texts are escaped"
    assert "select_autoescape(default=True, default_for_string=True)" in (ROOT / own[0]).read_text(encoding="utf-8")


def test_a_link_that_leads_out_of_a_model_is_not_exported(tmp_path: Path) -> None:
    (secret := tmp_path / "secret").write_text("key")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "training_args.bin").write_text("pickled")
    copy_model(model, tmp_path / "copy")
    assert sorted(file.name for file in (tmp_path / "copy").iterdir()) == ["config.json"]
    (model / "notes.txt").symlink_to(secret)
    with pytest.raises(UsageError, match=r"notes.txt is a link to .*secret, outside the model"):
        copy_model(model, tmp_path / "again")
    assert not any(file.name == "notes.txt" for file in (tmp_path / "again").rglob("*"))


def test_what_is_no_model_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root")
    with pytest.raises(UsageError, match=r"etc holds no model \(no config.json, no adapter_config.json\)"):
        copy_model(tmp_path / "etc", tmp_path / "copy")


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_have_the_permissions_that_the_user_asks_for(tmp_path: Path, mask: int) -> None:
    from harness.store import Store

    before = os.umask(mask)
    try:
        write_text(tmp_path / "page.html", "x")
        with replacing(tmp_path / "other") as part:
            assert stat.S_IMODE(part.stat().st_mode) == 0o600, "unfinished files are the user's alone"
        made = [tmp_path / "page.html", tmp_path / "other", Store(tmp_path / "r.sqlite").path]
    finally:
        os.umask(before)
    assert {oct(stat.S_IMODE(file.stat().st_mode)) for file in made} == {oct(0o666 & ~mask)}
