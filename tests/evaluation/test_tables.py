from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from tests.evaluation.reports import METRICS, small_report

from unsilent.evaluation import SYSTEMS, Report, Summary
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.html import _made, write_html
from unsilent.evaluation.markdown import report_markdown
from unsilent.evaluation.markdown import table as markdown_table
from unsilent.evaluation.published import BENCHMARKS, PUBLISHED, published_for
from unsilent.evaluation.report import software_versions
from unsilent.evaluation.tables import (
    difference_lines,
    left_out_lines,
    main_system,
    metrics_table,
    missing_lines,
    protocol_lines,
    published_table,
    results_table,
)


@pytest.fixture(scope="module")
def report() -> Report:
    return small_report()


def test_every_metric_stands_between_ceilings_and_floors(report: Report) -> None:
    table = results_table(report)
    assert [(cell.text, *cell.below) for cell in table.heads] == [
        ("metric",), ("real", "ceiling"), ("model",), ("silence", "floor"),
    ]  # fmt: skip
    assert [row[0].text for row in table.rows] == ["mel L1 ↓", "LSD, dB ↓", "offset, ms ↓"]
    values = report.systems["model"]["lsd"].interval
    assert values is not None
    assert table.rows[1][2].text == f"{values.mean:.2f}"
    assert table.rows[1][2].below == (f"[{values.low:.2f}, {values.high:.2f}]", "n=3")
    assert table.rows[2][3].text == "missing"


def test_the_system_that_a_report_is_about() -> None:
    assert main_system(["real", "vocoder", "mine", "theirs"]) == "mine"
    assert main_system(["real"]) == "real"


def test_what_is_missing_is_said_once_for_all_that_share_it(report: Report) -> None:
    assert missing_lines(report) == [
        "mel_l1, lsd, offset_ms of model: missing for 1 of 4 clips: s1/clip3.mp4: no <face> | found",
        "offset_ms of silence: missing for 4 of 4 clips: the degraded signal is silence, on which this metric is not "
        "defined",
    ]
    assert left_out_lines({f"c{at}": "no face" for at in range(7)}) == [
        "c0, c1, c2, c3, c4 and 2 more: left out: no face"
    ]


def test_reasons_that_differ_in_figures_are_one(report: Report) -> None:
    missing = {f"the sound is too loose (correlation 0.{at}, 0.5 is needed)": at for at in (1, 2)}
    told = dataclasses.replace(report, systems={"model": {"lsd": Summary(None, missing)}})
    assert missing_lines(told) == ["lsd of model: missing for 3 of 4 clips: the sound is too loose"]


def test_published_rows_name_their_test_set(report: Report) -> None:
    assert {row.benchmark for row in PUBLISHED} == set(BENCHMARKS)
    assert {row.benchmark for row in published_for("grid")} == {"grid-4", "grid-33", "grid-unseen"}
    assert {row.benchmark for row in published_for("tcd_timit")} == {"tcd-timit-3"}
    assert {row.benchmark for row in published_for("lrw")} == {"lrw"}
    assert published_for("folder") == published_for("") == ()
    table = published_table("grid")
    assert table is not None
    assert table.title.startswith("Published on GRID")
    assert all(len(row) == len(table.heads) for row in table.rows)
    assert published_table("wavs") is None
    lines = difference_lines(report)
    assert any("here it is grid s1-test, 4 clips" in line for line in lines)
    assert all(0 < value < 1 for row in PUBLISHED for value in (row.stoi, row.estoi, row.wer) if value is not None)


def test_a_missing_recogniser_and_guesses_are_said(report: Report) -> None:
    told = dataclasses.replace(report, recogniser={"name": None, "missing": "no package"}, corpus="talker")
    assert protocol_lines(told) == [
        "These clips are synthetic: a drawn face, a synthesised voice.",
        "No recogniser: no package",
        "a note for <readers>",
    ]
    guesses = {"name": "whisper", "version": "1", "chance_wer": 0.81, "majority_word_wer": 0.7}
    lines = protocol_lines(dataclasses.replace(report, recogniser=guesses))
    assert lines[1] == "WER within the grammar by guessing: a random legal sentence 81 %, the most frequent words 70 %."


def test_one_of_five_hundred_is_not_a_hundred_per_cent(report: Report) -> None:
    guesses = {"name": "whisper", "version": "1", "chance_wer": 1 - 1 / 500, "majority_word_wer": 0.998}
    lines = protocol_lines(dataclasses.replace(report, recogniser=guesses))
    assert lines[1].endswith("a random legal sentence 99.8 %, the most frequent words 99.8 %.")
    always = protocol_lines(dataclasses.replace(report, recogniser=guesses | {"chance_wer": 1.0}))
    assert "a random legal sentence 100 %" in always[1]


@pytest.mark.parametrize(
    ("made", "corpus", "said"),
    [
        (0, "folder", None),
        (4, "folder", "These clips are synthetic, as their files say."),
        (1, "folder", "1 of 4 clips are synthetic, as their files say."),
        (4, "talker", "These clips are synthetic: a drawn face, a synthesised voice."),
    ],
)
def test_synthetic_clips_are_called_so_wherever_a_report_is_read(
    made: int, corpus: str, said: str | None, report: Report, tmp_path: Path
) -> None:
    told = dataclasses.replace(report, synthetic=made, corpus=corpus)
    assert told.as_dict()["synthetic"] is (made > 0)
    write_html(tmp_path / "report.html", told)
    for text in (report_markdown(told), (tmp_path / "report.html").read_text(encoding="utf-8")):
        assert ("clips are synthetic" in text) == (said is not None)
        assert said is None or said in text


def test_markdown_tables_are_whole(report: Report) -> None:
    text = report_markdown(report)
    assert text.startswith("# Evaluation: grid s1-test, 4 clips\n")
    for metric in METRICS:
        assert f"| {metric} |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert sum(block.count("\n") for block in blocks) == len(rows)
    for block in blocks:
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1, block
    assert "no &lt;face> \\| found" in text
    assert markdown_table(results_table(report)).splitlines()[3].startswith("|---|--:|--:|--:|")


def test_the_page_about_evaluation_says_what_every_metric_is() -> None:
    """`unsilent evaluate metrics --markdown FILE` writes the table that stands there."""
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    assert markdown_table(metrics_table()) in page
    for name in (*SYSTEMS, *METRICS):
        assert f"`{name}`" in page or f"| {name} |" in page


def test_every_metric_of_a_report_says_which_versions_computed_it(report: Report) -> None:
    versions = dict(report.versions) | {"resemblyzer": "0.1.4", "webrtcvad-wheels": "2.0.14", "torch": "2", "soxr": "1"}
    known = {"name": "whisper-tiny.en", "version": "faster-whisper 1, ctranslate2 2"}
    systems = {"model": {name: Summary(None) for name in ("speaker", "wer_free")}}
    told = dataclasses.replace(report, versions=versions | {"jiwer": None}, recogniser=known, systems=systems)
    own = versions["unsilent"]
    speaker = {"unsilent": own, "resemblyzer": "0.1.4", "webrtcvad-wheels": "2.0.14", "torch": "2", "soxr": "1"}
    assert told.versions_of("speaker") == speaker
    assert told.as_dict()["metrics"]["speaker"]["versions"] == speaker
    table = metrics_table(told)
    assert table.heads[-1].text == "computed by"
    assert [row[-1].text for row in table.rows] == [
        f"unsilent {own}, resemblyzer 0.1.4, webrtcvad-wheels 2.0.14, torch 2, soxr 1",
        f"unsilent {own}, jiwer not installed, whisper-tiny.en (faster-whisper 1, ctranslate2 2)",
    ]
    for made in (report_markdown(told), _made(told)):
        assert "webrtcvad-wheels 2.0.14, torch 2" in made


def test_packages_of_metrics_are_among_the_versions_of_a_report() -> None:
    named = {package.replace("_", "-") for info in CATALOGUE.values() for package in info.packages}
    assert named <= set(software_versions())
