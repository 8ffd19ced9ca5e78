from __future__ import annotations

import inspect

import pytest

from unsilent import errors


def _all_errors() -> list[type[Exception]]:
    return [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]


@pytest.mark.parametrize("error", _all_errors(), ids=lambda error: error.__name__)
def test_every_error_is_a_user_error_and_stands_in_the_tree_of_the_module(error: type[Exception]) -> None:
    assert issubclass(error, errors.UnsilentError)
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__doc__


def test_user_errors_end_with_exit_code_2_and_keep_their_message() -> None:
    error = errors.MediaError("clip.mp4: no video stream; give a file with a picture")
    assert error.exit_code == 2
    assert str(error) == "clip.mp4: no video stream; give a file with a picture"


def test_user_errors_are_no_defects() -> None:
    assert not issubclass(errors.UnsilentError, OSError | ValueError | RuntimeError)
