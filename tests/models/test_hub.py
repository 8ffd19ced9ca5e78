"""Sharing models: huggingface_hub's own client against a server on loopback, both ways."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelHubMixin, constants
from safetensors.torch import load_file
from tests.models.hub_server import Hub, running_hub
from tests.models.small import CONFIG, VOCODER, reconstructor

import unsilent
from unsilent.errors import CheckpointError, OutputError, UnsilentError
from unsilent.models import Reconstructor, Vocoder, build_reconstructor
from unsilent.models.hub import download_model, is_hub_id
from unsilent.models.hub_readme import readme
from unsilent.models.pretrained import SHIPPED, load_reconstructor, read_card, save_model
from unsilent.synthesis import load

# huggingface_hub uploads by a form of the call that its own HTTP library has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
CARD = {
    "name": "small",
    "data": ["a corpus, CC0-1.0"],
    "licence": "Apache-2.0 (weights)",
    "step": 7,
    "metrics": {"l1": 0.5},
    "limits": "it knows nothing",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A running hub that huggingface_hub takes for the real one, and an empty cache."""
    with running_hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


def model() -> Reconstructor:
    made = reconstructor()
    made.card = dict(CARD)
    return made


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    states = first.state_dict(), second.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


def refused(name: str, **options: object) -> str:
    with pytest.raises(UnsilentError) as caught:
        download_model(name, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_pushed_is_what_is_loaded(hub: Hub) -> None:
    pushed = model()
    address = pushed.push_to_hub("someone/small", token="loopback")
    assert address.startswith(f"{hub.address}/someone/small/commit/")
    assert sorted(hub.head("someone/small")) == ["README.md", "card.json", "model.safetensors"]
    loaded = Reconstructor.from_pretrained("someone/small")
    assert same(loaded, pushed)
    assert not loaded.training
    assert loaded.config == CONFIG
    assert loaded.card is not None
    assert loaded.card["data"] == CARD["data"]
    assert hub.fetched == ["card.json", "model.safetensors"]


def test_a_second_load_asks_but_fetches_nothing(hub: Hub) -> None:
    model().push_to_hub("someone/small", token="loopback")
    first = Reconstructor.from_pretrained("someone/small")
    hub.fetched.clear()
    assert same(Reconstructor.from_pretrained("someone/small"), first)
    assert same(Reconstructor.from_pretrained("someone/small", local_files_only=True), first)
    assert hub.fetched == []


def test_a_vocoder_goes_the_same_way_and_along_with_a_model(hub: Hub) -> None:
    vocoder = Vocoder(VOCODER).eval()
    vocoder.push_to_hub("someone/vocoder", token="loopback")
    assert same(Vocoder.from_pretrained("someone/vocoder"), vocoder)
    model().push_to_hub("someone/both", token="loopback", vocoder=vocoder)
    assert same(Vocoder.from_pretrained("someone/both", subfolder="vocoder"), vocoder)
    voice = load("someone/both")
    assert voice.name == "small"
    folder = download_model("someone/both")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "card.json", "model.safetensors", "vocoder/card.json", "vocoder/model.safetensors",
    ]  # fmt: skip
    with pytest.raises(OutputError, match="no vocoder of its own"):
        vocoder.push_to_hub("someone/x", token="loopback", vocoder=vocoder)


def test_nothing_else_in_a_repository_is_ever_fetched(hub: Hub) -> None:
    model().push_to_hub("someone/small", token="loopback", vocoder=Vocoder(VOCODER))
    traps = ["pytorch_model.bin", "modeling.py", "__init__.py", "vocoder/extra.pkl", "config.json", "vocoder/run.py"]
    hub.commit("someone/small", {**hub.head("someone/small"), **dict.fromkeys(traps, b"cos\nsystem\n(S'exit'\ntR.")})
    load("someone/small")
    Reconstructor.from_pretrained("someone/small", force_download=True)
    assert set(hub.fetched) == {"card.json", "model.safetensors", "vocoder/card.json", "vocoder/model.safetensors"}
    assert not any(trap in line for trap in traps for line in hub.requests)


def test_an_older_revision_stays_what_it_was(hub: Hub) -> None:
    old = model()
    commit = old.push_to_hub("someone/small", token="loopback").rpartition("/")[2]
    torch.manual_seed(1)
    new = model()
    new.push_to_hub("someone/small", token="loopback")
    assert same(Reconstructor.from_pretrained("someone/small"), new)
    assert same(Reconstructor.from_pretrained(f"someone/small@{commit}"), old)
    assert same(Reconstructor.from_pretrained("someone/small", revision=commit), old)
    assert "no such revision" in refused("someone/small@nowhere")


def test_a_repository_of_another_kind_is_one_line(hub: Hub) -> None:
    hub.commit("someone/other", {"config.json": b"{}", "model.safetensors": b"x" * 1000})
    assert "no unsilent model" in refused("someone/other")
    hub.commit("someone/card", {"card.json": b'{"language": "en"}', "model.safetensors": b"x" * 1000})
    assert "not a model card" in refused("someone/card")
    Vocoder(VOCODER).push_to_hub("someone/vocoder", token="loopback")
    hub.fetched.clear()
    assert "kind 'vocoder'" in refused("someone/vocoder")
    assert "no such model" in refused("nobody/nothing")
    # The weights of what is not ours are never fetched.
    assert set(hub.fetched) == {"card.json"}


def test_changed_weights_are_refused(hub: Hub) -> None:
    model().push_to_hub("someone/small", token="loopback")
    tree = hub.head("someone/small")
    data = bytearray(tree["model.safetensors"])
    data[-1] ^= 1
    hub.commit("someone/small", {**tree, "model.safetensors": bytes(data)})
    with pytest.raises(CheckpointError, match="damaged"):
        Reconstructor.from_pretrained("someone/small")


def test_without_a_connection_there_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model().push_to_hub("someone/small", token="loopback")
    kept = Reconstructor.from_pretrained("someone/small")
    with running_hub() as gone:
        address = gone.address
    # The client tries again for 20 seconds; the waits are left out.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    assert "cannot be reached" in refused("someone/else")
    with pytest.raises(OutputError, match="someone/else") as caught:
        model().push_to_hub("someone/else", token="loopback")
    assert "\n" not in str(caught.value)
    # What is in the cache speaks on.
    assert same(Reconstructor.from_pretrained("someone/small"), kept)


def test_pushing_without_a_token_is_one_line(hub: Hub) -> None:
    with pytest.raises(OutputError, match="someone/small") as caught:
        model().push_to_hub("someone/small", token="wrong")
    assert "\n" not in str(caught.value)


def test_the_signatures_are_those_of_the_mixin() -> None:
    for name in ("from_pretrained", "push_to_hub", "save_pretrained"):
        theirs, ours = (inspect.signature(getattr(each, name)).parameters for each in (ModelHubMixin, Reconstructor))
        assert set(ours) - set(theirs) <= {"vocoder"}
        for parameter in theirs.values():
            assert ours[parameter.name].kind == parameter.kind
            assert ours[parameter.name].default == parameter.default


def test_weights_are_stored_without_loss_and_in_half_where_they_were(tmp_path: Path) -> None:
    fresh = model()
    fresh.save_pretrained(tmp_path / "fresh")
    assert {value.dtype for value in load_file(tmp_path / "fresh" / "model.safetensors").values()} >= {torch.float32}
    save_model(tmp_path / "half", fresh, CONFIG, {})
    half = Reconstructor.from_pretrained(tmp_path / "half")
    half.save_pretrained(tmp_path / "again")
    stored = load_file(tmp_path / "again" / "model.safetensors").values()
    assert {value.dtype for value in stored if value.is_floating_point()} == {torch.float16}
    assert same(load_reconstructor(tmp_path / "again")[0], half)


def test_an_old_card_does_not_speak_for_new_weights(tmp_path: Path) -> None:
    made = model()
    made.card = {**CARD, "sha256": "0" * 64, "parameters": 1, "config": {"kind": "other"}}
    made.save_pretrained(tmp_path)
    assert same(Reconstructor.from_pretrained(tmp_path), made)
    assert read_card(tmp_path)["parameters"] == sum(value.numel() for value in made.parameters())


def test_a_model_without_settings_cannot_be_saved(tmp_path: Path) -> None:
    made = reconstructor()
    bare = Reconstructor(made.encoder, made.temporal, made.decoder, "video")
    with pytest.raises(OutputError, match="without settings"):
        bare.save_pretrained(tmp_path)


def test_the_readme_is_filled_from_the_card(tmp_path: Path) -> None:
    card = read_card(SHIPPED / "grid")
    text = readme(card, repo_id="someone/grid", vocoder=True)
    measured = card["measured"]["estoi"]["mean"]
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "apache-2.0"
    assert "unsilent" in front["tags"]
    parts = (
        "someone/grid", "GRID audio-visual", "steps: 100", f"| estoi | {measured:.3f} |", "hop_length | 240",
        "synthetic",
        "51 words", "s1-test", "--model someone/grid", "Apache-2.0",
    )  # fmt: skip
    for part in parts:
        assert part in text, part
    model().save_pretrained(tmp_path)
    assert "a corpus, CC0-1.0" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_readme_says_when_the_licence_is_unknown() -> None:
    text = readme({"config": {"kind": "vocoder"}, "name": "a | b <script>", "licence": 'made: "up"'})
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "other"
    assert front["license_name"] == 'made: "up"'
    assert "<script>" not in text
    assert "a \\| b" in text


@pytest.mark.parametrize("name", ["a/b", "a/b@main", "some-one/Some.Model_2@refs/pr/1"])
def test_names_of_the_hub(name: str) -> None:
    assert is_hub_id(name)


@pytest.mark.parametrize(
    "name", ["grid", "a/b/c", "../a", "./a", "/a", "a/", "a/b@", "~/a", "a\\b", "a/b c", "a/../b", "-a/b"]
)
def test_names_that_are_paths(name: str) -> None:
    assert not is_hub_id(name)


def test_a_path_that_is_not_there_is_not_taken_for_a_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        Reconstructor.from_pretrained(tmp_path / "nothing")


def test_the_real_environment_variable_and_an_import_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    made = build_reconstructor(CONFIG).eval()
    made.push_to_hub("someone/small", token="loopback", vocoder=Vocoder(VOCODER))
    code = (
        "import json, sys, numpy, unsilent.synthesis\n"
        "assert not any('huggingface_hub' in name for name in sys.modules)\n"
        "voice = unsilent.load('someone/small')\n"
        "speech = voice.speak_crops(numpy.full((6, 96, 96), 120, numpy.uint8))\n"
        "print(json.dumps([float(abs(speech.samples).sum()), len(speech.samples)]))\n"
    )
    environment = {
        **os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200, check=True
    )
    here = unsilent.load("someone/small").speak_crops(np.full((6, 96, 96), 120, np.uint8)).samples
    total, count = json.loads(done.stdout.splitlines()[-1])
    assert count == len(here)
    assert total == pytest.approx(float(np.abs(here).sum()), rel=1e-2)
