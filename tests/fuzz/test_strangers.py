"""What a stranger sends runs no code: pickles and settings that name code, under every name that is looked for."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("resource", reason="the platform cannot limit memory")

from tests.fuzz.harness import Worker
from tests.models.small import CONFIG, reconstructor

from unsilent.files import sha256_file
from unsilent.models import build_reconstructor
from unsilent.models.config import AudioEncoderConfig, FilterbankConfig
from unsilent.models.pretrained import CARD, WEIGHTS, save_model


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self._mark),)


def _pickled(path: Path, trap: _Trap) -> None:
    path.write_bytes(pickle.dumps({"state_dict": trap}))


def _saved(path: Path, trap: _Trap) -> None:
    torch.save({"generator": {"a": torch.zeros(2)}, "extra": trap}, path)


def _saved_as_of_old(path: Path, trap: _Trap) -> None:
    torch.save({"generator": trap}, path, _use_new_zipfile_serialization=False)


NAMES = (
    WEIGHTS, CARD, "config.json", "config.yml", "pytorch_model.bin", "model.pt", "model.onnx", "checkpoint.pth",
    "modules.safetensors", "state.json", "clips-00000.parquet", "data.parquet", "recipe.yaml", "stats.npy",
    "dataset.py", "index.tsv", "manifest.json", "video.mp4", "records/clips-00000.jsonl",
    "checkpoints/step-00000001/modules.safetensors", "vocoder/model.safetensors", "vocoder/card.json",
)  # fmt: skip


@pytest.mark.parametrize("write", [_pickled, _saved, _saved_as_of_old])
def test_a_planted_pickle_is_not_run(write: Callable[[Path, _Trap], None], worker: Worker, tmp_path: Path) -> None:
    folder, mark = tmp_path / "given", tmp_path / "owned"
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, _Trap(mark))
    (folder / "dataset.py").write_text(f"import os; os.mkdir({str(mark)!r})")
    outcome = worker.run("stranger", folder, tmp_path / "output")
    assert outcome.verdict == "read", outcome
    for name in NAMES:
        assert worker.run("stranger", folder / name, tmp_path / "output").verdict == "read"
    assert not mark.exists()
    # The trap is one: who unpickles it is caught.
    pickle.loads(pickle.dumps(_Trap(mark)))
    assert mark.exists()


def test_a_pickle_in_place_of_weights_is_refused_by_name(worker: Worker, tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "owned"
    save_model(folder, reconstructor(), CONFIG, {"name": "tiny"})
    _saved(folder / WEIGHTS, _Trap(mark))
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "sha256": sha256_file(folder / WEIGHTS)}))
    outcome = worker.run("model", folder, tmp_path / "output")
    assert outcome.verdict == "refused"
    assert str(folder) in outcome.detail
    assert not mark.exists()


COMMAND = "touch owned"
DOCUMENTS = [
    f"kind: train\nname: !!python/object/apply:os.system ['{COMMAND}']\n",
    f"!!python/object/new:os.system ['{COMMAND}']\n",
    "kind: !!python/name:os.system\n",
    f"kind: train\nname: x\nmodel: {{__class__: os.system, args: ['{COMMAND}']}}\n",
    f"kind: train\nname: x\n_target_: os.system\n_args_: ['{COMMAND}']\n",
    "kind: train\nname: x\nextends: /etc/passwd\n",
    "kind: train\nname: x\nextends: ../../../../../../etc/passwd\n",
    "kind: train\nname: x\nextends: https://127.0.0.1:9/recipe.yaml\n",
    "kind: train\nname: x\ndata: {shards: 'hf:user/data'}\n",
    "kind: train\nname: ${oc.env:HOME}\n",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
]

PLAIN = (8, 9)


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_settings_that_name_code_files_or_addresses(number: int, worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    save_model(folder, reconstructor(), CONFIG, {"name": "tiny"})
    for name in ("recipe.yaml", "config.yml", "config.json"):
        (folder / name).write_text(DOCUMENTS[number])
    outcome = worker.run("recipe", folder / "recipe.yaml", tmp_path / "output")
    # A value that only looks like a command or an address is text.
    assert outcome.verdict == ("read" if number in PLAIN else "refused")
    assert worker.run("stranger", folder, tmp_path / "output").verdict == "read"


VALUES: tuple[Any, ...] = (
    {"__class__": "os.system", "args": [COMMAND]},
    "!!python/object/apply:os.system",
    "user/model",
    "https://127.0.0.1:9/model",
    "/etc/passwd",
    "../../secret",
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_cards_that_name_code_files_or_addresses(value: Any, worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, reconstructor(), CONFIG, {"name": "tiny"})
    card = json.loads((folder / CARD).read_text())
    for key in ("config", "kind", "vocoder", "auto_map", "recipe", "_class_name", "sha256", "limits", "name"):
        (folder / CARD).write_text(json.dumps({**card, key: value}))
        assert worker.run("stranger", folder, tmp_path / "output").verdict == "read"
        for part in ("kind", "encoder", "temporal", "decoder", "mel", "speaker", "auto_map"):
            (folder / CARD).write_text(json.dumps({**card, "config": {**card["config"], part: value}}))
            assert worker.run("model", folder, tmp_path / "output").verdict == "refused"


def _with_a_giant(config: dict[str, Any], number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The settings, each time with another number, or list of numbers, that is gigantic; and its name."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from ((name, {**config, key: inner}) for name, inner in _with_a_giant(value, number))
        elif (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, list):
            yield key, {**config, key: [number] * len(value) if isinstance(value, list) else number}


@pytest.mark.parametrize("number", [10**6 + 1, 10**9 + 1, 2**31 - 1, 2**40 + 1, 2**62])
def test_settings_of_a_giant_take_no_memory(number: int, worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    bands = FilterbankConfig(bands=4, n_fft=64, hop_length=60)
    hears = AudioEncoderConfig(filterbank=bands, strides=(4, 4), widths=(2, 2), bottleneck=2, out_width=8)
    for settings in (CONFIG, CONFIG.model_copy(update={"encoder": hears})):
        save_model(folder, build_reconstructor(settings), settings, {"name": "tiny"})
        card = json.loads((folder / CARD).read_text())
        for key, config in _with_a_giant(card["config"], number):
            (folder / CARD).write_text(json.dumps({**card, "config": config}))
            outcome = worker.run("model", folder, tmp_path / "output")
            # These two alone make no other network.
            assert outcome.verdict == "refused" or key in ("chunk", "history"), (key, outcome)


def test_an_archive_with_a_program_is_only_unpacked(worker: Worker, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("s1/setup.py", f"import os; os.system({COMMAND!r})")
        file.writestr("s1/sitecustomize.py", f"import os; os.system({COMMAND!r})")
    assert worker.run("archive", tmp_path / "a.zip", tmp_path / "output").verdict == "read"
