from __future__ import annotations

import math
from importlib import metadata

import pytest

from unsilent.errors import EvaluationError
from unsilent.evaluation.optional import installed_version, require


def test_what_is_there_is_imported() -> None:
    assert require("math") is math
    assert installed_version("numpy") == metadata.version("numpy")


def test_what_is_not_there_is_named_with_its_remedy() -> None:
    with pytest.raises(EvaluationError, match=r"no_such_module cannot be imported .*; pip install 'unsilent\[eval\]'"):
        require("no_such_module")
    assert installed_version("no_such_module") is None


def test_the_name_to_install_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(EvaluationError, match=r"^faster-whisper cannot be imported"):
        require("faster_whisper")
