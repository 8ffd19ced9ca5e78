"""One of many videos as a job for any engine: its fault is an answer."""

from __future__ import annotations

from pathlib import Path

from tests.face.conftest import portrait, talking_video

from unsilent.media import read_audio
from unsilent.synthesis.batch import SpeakJob, Unspoken, speak_job, unspoken
from unsilent.synthesis.files import Spoken
from unsilent.workers import LocalEngine

__all__ = ["portrait", "talking_video"]


def test_jobs_are_spoken_and_a_bad_video_costs_itself(talking_video: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    jobs = [
        SpeakJob(tmp_path / "bad.mp4", tmp_path / "bad.wav", "grid"),
        SpeakJob(talking_video, tmp_path / "out/good.wav", "grid"),
    ]
    (_, bad), (job, good) = LocalEngine(0).map(jobs, speak_job, unspoken)
    assert isinstance(bad, Unspoken)
    assert str(tmp_path / "bad.mp4") in bad.why
    assert not (tmp_path / "bad.wav").exists()
    assert job is jobs[1]
    assert isinstance(good, Spoken)
    assert (good.video, good.output) == (str(talking_video), str(tmp_path / "out/good.wav"))
    assert len(read_audio(tmp_path / "out/good.wav", 24_000)) == 28_800


def test_a_model_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    done = speak_job(SpeakJob(tmp_path / "a.mp4", tmp_path / "a.wav", str(tmp_path / "nowhere")))
    assert isinstance(done, Unspoken)
    assert "nowhere" in done.why


def test_a_job_whose_process_died_says_what_to_do(tmp_path: Path) -> None:
    died = unspoken(SpeakJob(tmp_path / "a.mp4", tmp_path / "a.wav", "grid"), "crashed", "the process died")
    assert died == Unspoken(f"{tmp_path / 'a.mp4'}: crashed, the process died; speak it alone to see why")
