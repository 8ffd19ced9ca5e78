from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsilent.corpora.talker.generate import place_of
from unsilent.demonstration import Example, grid_example
from unsilent.demonstration.example import TALKERS, TRAINED_ON, WORDS, _after_training, _another
from unsilent.errors import CorpusError
from unsilent.media import probe
from unsilent.synthesis import find_model


def test_the_clip_is_drawn_after_those_that_were_trained_on(example: Example) -> None:
    index = int(example.id.split("/")[1])
    assert index >= TRAINED_ON
    assert place_of(TALKERS, index).split == "talker-test"
    assert all(word in slot for word, slot in zip(example.text.split(), WORDS, strict=True))
    assert "Synthetic" in example.about
    assert probe(example.path).has_audio
    assert example.voice is not None
    assert example.voice.parent == example.path.parent
    assert example.voice != example.path


@pytest.mark.parametrize(("split", "letter"), [("talker-test", "t"), ("talker-unseen", "u")])
def test_numbers_are_different_clips_of_the_split(split: str, letter: str) -> None:
    indices = [_after_training(split, number) for number in range(4)]
    assert len(set(indices)) == 4
    for index in indices:
        place = place_of(TALKERS, index)
        assert (place.split, place.speaker[0]) == (split, letter)
        assert place_of(TALKERS, _another(place)).speaker == place.speaker


def test_the_shipped_model_comes_from_the_clips_before() -> None:
    card = json.loads((find_model("talker") / "card.json").read_text(encoding="utf-8"))
    trained = len([i for i in range(TRAINED_ON) if place_of(TALKERS, i).split == "talker-train"])
    assert card["trained_on"]["clips"] == trained


def test_a_real_clip_where_grid_is_present(shared_data: Path) -> None:
    example = grid_example(shared_data / "grid")
    assert example.id.startswith("s1/")
    assert example.path.is_file()


def test_a_folder_without_grid_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="unsilent fetch grid"):
        grid_example(tmp_path / "nowhere")
