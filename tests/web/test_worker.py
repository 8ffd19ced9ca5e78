from __future__ import annotations

import dataclasses
import json
import shutil
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unsilent.errors import CheckpointError, MediaError
from unsilent.media import probe, write_audio
from unsilent.models.pretrained import SHIPPED
from unsilent.web import worker
from unsilent.web.limits import MAX_PIXELS


@pytest.fixture(scope="module")
def desk() -> worker._Desk:
    return worker._Desk([])


def _request(video: Path, folder: Path, **more: Any) -> dict[str, Any]:
    return {"do": "speak", "video": str(video), "name": "clip.mp4", "max_seconds": 8.0, "model": "grid", "face": None,
            "voice": None, "folder": str(folder), "stem": "clip", **more}  # fmt: skip


def _quiet(state: dict[str, Any]) -> None:
    pass


def test_speech_reports_every_stage_in_order(desk: worker._Desk, talking_video: Path, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    done = desk.handle(_request(talking_video, tmp_path), told.append)
    stages = [state["stage"] for state in told]
    assert sorted(set(stages), key=stages.index) == ["face", "model", "vocoder", "file"]
    assert max(state["frames"] for state in told) == done["frames"] == 30
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4", ".wav", ".png"}
    json.dumps(done, allow_nan=False)


def test_a_header_that_lies_does_not_help(desk: worker._Desk, talking_video: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(probe(talking_video), duration=0.1)
    request = _request(talking_video, tmp_path, max_seconds=0.1)
    with pytest.raises(worker._TooLongError, match=r"longer than 0\.1 s"):
        worker._speak(desk._voice("grid"), request, short, _quiet)
    assert list(tmp_path.iterdir()) == []


def test_pictures_over_4k_are_refused(talking_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = dataclasses.replace(probe(talking_video), width=MAX_PIXELS // 100, height=101)
    monkeypatch.setattr(worker, "probe", lambda path: info)
    with pytest.raises(MediaError, match="larger than 4K"):
        worker._checked(_request(talking_video, tmp_path))


def test_work_is_given_up_when_the_parent_says_so(desk: worker._Desk, talking_video: Path, tmp_path: Path) -> None:
    parent, child = Pipe()
    parent.send_bytes(b'{"cancel": true}')
    answer = worker._answer(desk, _request(talking_video, tmp_path), child)
    assert answer == {"error": "cancelled", "status": 499}
    parent.close()
    child.close()


def test_messages_name_files_as_their_owner_does(desk: worker._Desk, tmp_path: Path) -> None:
    parent, child = Pipe()
    (tmp_path / "a.mp4").write_text("no video")
    answer = worker._answer(desk, _request(tmp_path / "a.mp4", tmp_path), child)
    assert answer["status"] == 422
    assert answer["error"].startswith("clip.mp4: is not a readable video")
    assert str(tmp_path) not in answer["error"]
    parent.close()
    child.close()


def test_a_defect_is_one_line_for_the_visitor(desk: worker._Desk, caplog: pytest.LogCaptureFixture) -> None:
    parent, child = Pipe()
    answer = worker._answer(desk, {"do": "nothing"}, child)
    assert answer["status"] == 500
    assert "ValueError" in caplog.text
    assert "ValueError" not in answer["error"]
    parent.close()
    child.close()


def test_models_of_ones_own_stand_first_and_say_what_they_know(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    shutil.copytree(SHIPPED / "grid", own)
    card = json.loads((own / "card.json").read_text())
    (own / "card.json").write_text(json.dumps({**card, "limits": "knows me"}))
    models = worker._Desk([str(own)]).handle({"do": "models"}, _quiet)["models"]
    assert models[0]["id"] == str(own)
    assert models[0]["name"] == "grid (mine)"
    assert models[0]["limits"] == "knows me"
    assert models[0]["voices"] is False
    assert "grid" in [model["name"] for model in models]
    with pytest.raises(CheckpointError, match="no such model"):
        worker._Desk(["nobody"]).handle({"do": "models"}, _quiet)


def test_a_long_voice_reference_is_refused_unheard(talking_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "me.wav"
    write_audio(path, np.zeros(601 * 1000, np.float32), 1000)
    with pytest.raises(MediaError, match="longer than 600 s"):
        worker._reference(_request(talking_video, tmp_path, voice=str(path)))
    assert worker._reference(_request(talking_video, tmp_path)) is None
