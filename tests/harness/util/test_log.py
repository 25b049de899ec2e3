"""The log of a command."""

from __future__ import annotations

import logging
from pathlib import Path

import open_clip
import pytest

from harness.util.log import LOG, logged_to


def test_a_command_logs_to_its_file_alone_whatever_handlers_a_library_gives_the_root_logger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789abcdef")
    with logged_to(tmp_path / "of.log"):  # caplog's handler is one of the root logger
        LOG.warning("refused: sk-0123456789abcdef")
        logging.getLogger("dama.chat").warning("asked again")
    assert caplog.messages == []
    written = (tmp_path / "of.log").read_text()
    assert "refused: ***" in written and "asked again" in written
    LOG.warning("outside a command")
    assert caplog.messages == ["outside a command"]


def test_what_keeps_open_clip_from_loading_is_raised_and_not_logged_by_the_root_logger_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(RuntimeError, match="not a known tag"):
        open_clip.create_model_from_pretrained("RN50", pretrained="no-such-tag")
    assert not [record for record in caplog.records if record.name == "root"]
    logging.error("of another library")
    assert caplog.messages[-1] == "of another library"
