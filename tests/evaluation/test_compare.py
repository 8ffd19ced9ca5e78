from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.errors import EvaluationError
from unsilent.evaluation.compare import compare, comparison_table, read_measured
from unsilent.evaluation.html import write_comparison
from unsilent.evaluation.markdown import comparison_markdown
from unsilent.evaluation.statistics import bootstrap_mean, bootstrap_ratio

STOI = {"good": [0.8, 0.7, 0.9, 0.6, 0.75], "bad": [0.6, 0.55, 0.65, 0.5, 0.56]}
COUNTS = {"good": [[1, 6], [0, 6], [2, 4], [0, 6], [1, 8]], "bad": [[3, 6], [2, 6], [2, 4], [4, 6], [5, 8]]}


def report(kind: str = "good", clips: int = 5) -> dict[str, Any]:
    """What `unsilent evaluate --json` writes, of a model on five clips."""
    rows = [
        {
            "id": f"s1/c{at}",
            "text": "bin blue",
            "sound": f"digest {at}",
            "systems": {
                "real": {"stoi": 1.0, "wer_free": 0.0, "counts": {"wer_free": [0, COUNTS[kind][at][1]]}},
                "model": {
                    "stoi": STOI[kind][at],
                    "wer_free": COUNTS[kind][at][0] / COUNTS[kind][at][1],
                    "counts": {"wer_free": COUNTS[kind][at]},
                },
            },
        }
        for at in range(clips)
    ]
    return {
        "format": 2,
        "corpus": "grid",
        "split": "s1-test",
        "command": f"unsilent evaluate grid ROOT --model {kind}",
        "systems": {"real": {"stoi": {}, "wer_free": {}}, "model": {"stoi": {}, "wer_free": {}}},
        "recogniser": {"name": "whisper-tiny.en", "version": "1"},
        "versions": {"unsilent": "0.1.0", "pystoi": "0.4.1"},
        "clips": rows,
    }


def write(folder: Path, name: str, data: object) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data))
    return str(path)


@pytest.fixture
def both(tmp_path: Path) -> list[str]:
    return [write(tmp_path, kind, report(kind)) for kind in ("bad", "good")]


def test_means_and_paired_differences(both: list[str]) -> None:
    found = compare(read_measured(both))
    assert [m.name for m in found.measured] == ["bad", "good"]
    assert found.clips == [f"s1/c{at}" for at in range(5)]
    bad, good = found.values["stoi"]
    assert bad.interval == bootstrap_mean(STOI["bad"])
    assert good.interval == bootstrap_mean(STOI["good"])
    (difference,) = found.differences["stoi"]
    paired = bootstrap_mean([g - b for g, b in zip(STOI["good"], STOI["bad"], strict=True)])
    assert difference.interval is not None
    assert (difference.interval.mean, difference.interval.low, difference.interval.high) == pytest.approx(
        (paired.mean, paired.low, paired.high)
    )
    assert difference.better is True
    # Error rates: ratios of sums, not means of rates; lower is better.
    assert found.values["wer_free"][1].interval == bootstrap_ratio(*zip(*COUNTS["good"], strict=True))
    assert found.differences["wer_free"][0].interval is not None
    assert found.differences["wer_free"][0].interval.mean == pytest.approx(4 / 30 - 16 / 30)
    assert found.differences["wer_free"][0].better is True
    assert not found.notes
    turned = compare(read_measured(both[::-1]))
    assert turned.differences["stoi"][0].better is False


def test_systems_of_one_report_and_more_than_two(both: list[str], tmp_path: Path) -> None:
    one = compare(read_measured([f"{both[1]}:real", f"{both[1]}:model"]))
    assert [m.name for m in one.measured] == ["real", "model"]
    assert one.differences["stoi"][0].better is False
    three = compare(read_measured([*both, f"{both[0]}:real"]))
    assert [m.name for m in three.measured] == ["bad:model", "good:model", "bad:real"]
    assert [d.better for d in three.differences["stoi"]] == [True, True]
    (tmp_path / "other").mkdir()
    same = write(tmp_path / "other", "good", report("bad"))
    assert [m.file.parent.name for m in read_measured([both[1], same])] == [tmp_path.name, "other"]
    assert len({m.name for m in read_measured([both[1], same])}) == 2


def test_a_difference_over_fewer_clips_says_so(tmp_path: Path) -> None:
    bad, good = report("bad"), report("good")
    bad["clips"][0]["systems"]["model"]["stoi"] = None
    good["clips"][4]["systems"]["model"]["stoi"] = None
    found = compare(read_measured([write(tmp_path, "bad", bad), write(tmp_path, "good", good)]))
    table, _ = comparison_table(found)
    stoi, wer = table.rows
    assert [cell.below[1:] for cell in stoi[1:]] == [("n=4",), ("n=4",), ("n=3", "better")]
    assert [cell.below[1:] for cell in wer[1:]] == [(), (), ("better",)]
    (note,) = found.notes
    assert note.startswith("stoi: not all of the 5 clips have it in all of them: a mean is over the clips that have it")
    assert note in found.lines()
    assert "n=3" in comparison_markdown(found)
    assert note in found.as_dict()["notes"]


def test_no_difference_is_not_clear(tmp_path: Path, both: list[str]) -> None:
    same = write(tmp_path, "again", report("good"))
    (difference,) = compare(read_measured([both[1], same])).differences["stoi"]
    assert difference.interval is not None
    assert difference.interval.mean == 0
    assert difference.better is None


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda d: d["clips"].pop(), "1 of its 5 clips are not in all reports"),
        (lambda d: d["clips"][0].update(sound="other"), "another real sound: s1/c0"),
        (lambda d: d.update(split="s1-val"), "another split"),
        (lambda d: d["versions"].update(pystoi="0.4.2"), "other versions: pystoi 0.4.1 and 0.4.2"),
    ],
)
def test_what_differs_is_said(change: Any, note: str, tmp_path: Path, both: list[str]) -> None:
    data = report("good")
    change(data)
    found = compare(read_measured([both[0], write(tmp_path, "changed", data)]))
    assert any(note in line for line in found.lines())
    assert found.differences["stoi"][0].interval is not None
    assert found.differences["stoi"][0].interval.n == len(found.clips)


def test_what_cannot_be_compared_is_missing_with_its_reason(tmp_path: Path, both: list[str]) -> None:
    other = report("good")
    other["recogniser"]["name"] = "whisper-base.en"
    for row in other["clips"]:
        del row["systems"]["model"]["stoi"]
    found = compare(read_measured([both[0], write(tmp_path, "other", other)]))
    assert found.values["wer_free"][1].interval is not None
    assert found.differences["wer_free"][0].interval is None
    assert "other recognisers: whisper-tiny.en (1) and whisper-base.en (1)" in str(
        found.differences["wer_free"][0].reason
    )
    assert found.differences["stoi"][0].reason == "no clip has it in both"
    assert found.as_dict()["metrics"]["stoi"]["values"][1]["mean"] is None
    texts = report("good")
    texts["clips"][2]["text"] = "lay red"
    found = compare(read_measured([both[0], write(tmp_path, "texts", texts)]))
    assert found.differences["wer_free"][0].reason == "other texts of the same clips"


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    for row in data["clips"]:
        row["id"] = f"s2{row['id']}"
    return data


def _resounded(data: dict[str, Any]) -> dict[str, Any]:
    for row in data["clips"]:
        row["sound"] += "!"
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_renamed(report()), "no clips are in all of them"),
        (_resounded(report()), "all clips of one name have another real sound"),
        (report() | {"format": 1}, "format 1, this version compares format 2; run `unsilent evaluate` again"),
        ({"systems": {}}, "is no report"),
        ([1], "is no report"),
        (report() | {"clips": [{"id": "a", "systems": {}}]}, "is no report"),
    ],
)
def test_reports_that_cannot_be_compared(data: Any, message: str, tmp_path: Path, both: list[str]) -> None:
    with pytest.raises(EvaluationError, match=message) as error:
        compare(read_measured([both[0], write(tmp_path, "other", data)]))
    assert "\n" not in str(error.value)


def test_mistakes(both: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("{")
    for arguments, message in (
        ([both[0], str(tmp_path / "absent.json")], "cannot be read"),
        ([both[0], str(tmp_path / "text.json")], "is no JSON"),
        ([both[0], f"{both[0]}:psychic"], "has no system psychic; there is: real, model"),
        ([both[0], both[0]], "is given twice"),
        ([both[0]], "one report alone"),
    ):
        with pytest.raises(EvaluationError, match=message):
            compare(read_measured(arguments))


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["systems", "clips", "format", "id", "model"]), inner), max_leaves=12))  # fmt: skip
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = write(tmp_path_factory.getbasetemp(), "wild", data)
    with pytest.raises(EvaluationError):
        read_measured([path])


def test_tables_in_all_forms(both: list[str], tmp_path: Path) -> None:
    found = compare(read_measured(both))
    table, marks = comparison_table(found)
    assert [cell.text for cell in table.heads] == ["metric", "bad", "good", "good \u2212 bad"]
    assert marks == {(0, 3): "better", (1, 3): "better"}
    assert table.rows[0][3].text == "+0.178"
    assert table.rows[1][3].text == "-40.0"
    write_comparison(tmp_path / "c.html", found)
    page = (tmp_path / "c.html").read_text("utf-8")
    assert 'class="better"' in page
    assert "Comparison: bad and good" in page
    text = comparison_markdown(found)
    assert "| STOI \u2191 | 0.572" in text
    assert "- bad: model of " in text
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["metrics"]["stoi"]["differences"][0]["better"] is True
    assert data["reports"][0]["system"] == "model"
