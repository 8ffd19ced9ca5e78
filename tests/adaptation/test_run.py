"""From a folder of clips to a model that speaks them, by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.evaluation.sounds import speech
from tests.models.small import CONFIG, unsettle

from unsilent.adaptation import adapted_recipe
from unsilent.adaptation.run import _described
from unsilent.cli import main
from unsilent.errors import CheckpointError
from unsilent.media import mux_speech, probe
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import AudioEncoderConfig, WaveDecoderConfig
from unsilent.models.pretrained import save_model

CLIPS = 12
SPEECH = CONFIG.model_copy(update={"encoder": AudioEncoderConfig(widths=(4, 4, 6, 6, 8), out_width=8)})


def saved(folder: Path, config: ReconstructorConfig) -> Path:
    model = build_reconstructor(config)
    unsettle(model)
    save_model(folder, model, config, {"name": folder.name})
    return folder


def as_recorded(source: Path, target: Path) -> None:
    """Copy a video without what says that unsilent wrote it."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        streams = {stream.index: written.add_stream_from_template(stream) for stream in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                written.mux(packet)


@pytest.fixture(scope="module")
def mine(talking_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of one person, each with another sound; two say the same."""
    folder = tmp_path_factory.mktemp("mine")
    seconds = probe(talking_video).duration
    spoken = tmp_path_factory.mktemp("spoken") / "spoken.mp4"
    for number in range(CLIPS):
        mux_speech(talking_video, speech(seconds, number), 24_000, spoken)
        as_recorded(spoken, folder / f"clip{number}.mp4")
        (folder / f"clip{number}.txt").write_text(f"sentence {min(number, CLIPS - 2)}\n")
    return folder


def test_a_folder_of_clips_becomes_a_model_and_the_same_command_goes_on(
    mine: Path, talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "speech", SPEECH)
    small = ["model.encoder.resize=24", "model.encoder.crop=16", "model.encoder.stem_channels=4"]
    options = [*small, "model.encoder.widths=[4, 6]", "run.epochs=2", "run.validate_every=1", "run.batch_size=4"]
    command = ["adapt", str(mine), "--from", str(source), "-o", str(tmp_path / "out"), "--workers", "0"]
    command += [part for option in options for part in ("--set", option)]
    assert main([*command, "--json", str(tmp_path / "out.json")]) == 0
    out: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    assert out["clips"] in (CLIPS - 2, CLIPS - 3)  # two clips say the same: they judge together, or learn together
    assert out["minutes"] == pytest.approx(out["clips"] * probe(talking_video).duration / 60, rel=0.05)
    assert not out["flat"]
    assert set(out["report"]["systems"]) == {"model", "vocoder", "real"}
    assert out["report"]["systems"]["real"]["estoi"]["mean"] == pytest.approx(1, abs=1e-6)
    text = capsys.readouterr()
    assert "forecast: with" in text.out
    assert out["forecast"]["basis"].startswith("Measured on GRID")
    assert out["report"]["synthetic"] is False
    assert "synthetic" not in text.out
    assert f"unsilent speak VIDEO --model {tmp_path / 'out' / 'run'}" in text.out.replace("\n", "") + text.err
    card = json.loads((tmp_path / "out" / "run" / "best" / "card.json").read_text())
    assert card["data"][0] == f"{out['minutes']:.1f} min of one person's clips, given to `unsilent adapt`"
    assert "consent" in card["limits"]
    assert card["licence"]
    assert card["recipe"]["start"] == card["recipe"]["start"] | {"init": "decoder", "source": str(source)}

    spoken = tmp_path / "spoken.wav"
    assert main(["speak", str(talking_video), "--model", str(tmp_path / "out" / "run"), "-o", str(spoken)]) == 0
    assert spoken.stat().st_size > 1000

    history = (tmp_path / "out" / "run" / "history.jsonl").read_bytes()
    assert main([*command, "--json", str(tmp_path / "again.json")]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["steps"] == out["steps"]
    assert (tmp_path / "out" / "run" / "history.jsonl").read_bytes() == history
    assert np.isclose(
        again["report"]["systems"]["model"]["estoi"]["mean"], out["report"]["systems"]["model"]["estoi"]["mean"]
    )


def test_time_ends_training_at_once_and_its_own_test_clips_are_known(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = saved(tmp_path / "lips", CONFIG), tmp_path / "out"
    command = ["adapt", str(mine), "--from", str(source), "-o", str(out), "--workers", "0", "--hours", "0"]
    assert main([*command, "--json", str(tmp_path / "out.json")]) == 0
    done = json.loads((tmp_path / "out.json").read_text())
    assert (done["steps"], done["flat"]) == (1, False)
    assert done["before"] == pytest.approx(done["report"]["systems"]["before"]["estoi"]["mean"], abs=1e-6)
    said = capsys.readouterr()
    assert "what training starts from has ESTOI" in said.out
    assert "too early to say" in said.err
    assert "step 1: estimated ESTOI" in said.err
    assert main([*command, "--json", str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["steps"] == 2
    capsys.readouterr()

    card = json.loads((out / "run" / "best" / "card.json").read_text())
    assert card["judged_on"] == sorted({row["id"] for row in done["report"]["clips"]})
    options = ["--model", str(out / "run"), "--systems", "real", "--metrics", "stoi", "--workers", "0"]
    scored = tmp_path / "scored.json"
    assert main(["evaluate", "folder", str(mine), *options, "--split", "test", "--json", str(scored)]) == 0
    assert [row["id"] for row in json.loads(scored.read_text())["clips"]] == card["judged_on"]
    assert "was not adapted to" in capsys.readouterr().out
    assert main(["evaluate", "folder", str(mine), *options, "--json", str(scored)]) == 0
    assert len(json.loads(scored.read_text())["clips"]) == CLIPS
    learnt = CLIPS - len(card["judged_on"])
    assert f"may have learnt from {learnt} of these {CLIPS} clips" in capsys.readouterr().err


@pytest.mark.parametrize(("made", "said"), [(0, "one person's clips"), (3, "3 of 5 of them"), (5, "synthetic clips,")])
def test_the_card_says_which_clips_are_synthetic(made: int, said: str) -> None:
    line = _described(1.25, made, 5)
    assert said in line
    assert ("synthetic" in line) == (made > 0)
    assert ("person" in line) == (made < 5)


def test_what_reads_lips_is_taken_over_whole_and_learns_gently(tmp_path: Path) -> None:
    lips, speech_only = saved(tmp_path / "lips", CONFIG), saved(tmp_path / "speech", SPEECH)
    whole = adapted_recipe(str(lips), tmp_path / "shards", 80)
    assert whole.model == CONFIG
    assert whole.start.init == "model"
    part = adapted_recipe(str(speech_only), tmp_path / "shards", 800, ["run.seed=7"])
    assert part.start.init == "decoder"
    assert (part.model.temporal, part.model.decoder, part.run.seed) == (CONFIG.temporal, CONFIG.decoder, 7)
    assert whole.optim.lr < part.optim.lr
    # As many steps between judgements, whatever the number of clips.
    assert (whole.run.validate_every, part.run.validate_every) == (8, 1)


def test_a_model_that_makes_waveforms_is_refused(tmp_path: Path) -> None:
    wave = WaveDecoderConfig(widths=(8, 8, 4, 4), blocks=0)
    folder = saved(tmp_path / "wave", SPEECH.model_copy(update={"decoder": wave}))
    with pytest.raises(CheckpointError, match="wave: is a2a-wave; start from a model that predicts mels"):
        adapted_recipe(str(folder), tmp_path / "shards", 10)


@pytest.mark.parametrize("kind", ["few", "people", "unknown", "silent", "override"])
def test_mistakes_get_one_line(
    kind: str, mine: Path, talking_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, options, said = mine, ["--from", str(saved(tmp_path / "speech", SPEECH))], ""
    if kind == "few":
        folder = tmp_path / "few"
        folder.mkdir()
        (folder / "a.mp4").write_bytes(talking_video.read_bytes())
        said = "holds 1 different clips; record at least 5"
    elif kind == "people":
        folder = tmp_path / "people"
        for name in ("anna", "ben"):
            (folder / name).mkdir(parents=True)
            (folder / name / "a.mp4").write_bytes(talking_video.read_bytes())
        said = "holds folders of 2 people (anna, ben); name the folder of one of them"
    elif kind == "unknown":
        options, said = ["--from", "no-such-model"], "no-such-model: no such model"
    elif kind == "silent":
        folder = tmp_path / "silent"
        folder.mkdir()
        for number in range(5):
            (folder / f"{number}.mp4").write_bytes(talking_video.read_bytes())
        said = "none of its clips can be used (5 no sound); record clips that show one face and have sound"
    elif kind == "override":
        options, said = [*options, "--set", "run.epoch=3"], "run.epoch"
    assert main(["adapt", str(folder), *options, "-o", str(tmp_path / "out"), "--workers", "0"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert not (tmp_path / "out" / "run").exists()
    assert not (tmp_path / "out" / "shards").exists()
