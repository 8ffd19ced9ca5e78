"""What ``unsilent prepare speech`` does: sources of recordings into shards, and a table of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsilent.cli.common import emit_json, progress, report
from unsilent.errors import CorpusError, RecipeError

if TYPE_CHECKING:
    from unsilent.corpora.speech import Recording, SpeechSource
    from unsilent.listening import ConditionConfig
    from unsilent.prepare_speech import SpeechReport
    from unsilent.workers import Engine

__all__ = ["prepare"]

_HOLD_OUT = ("speaker", "recording", "auto", "none")


def prepare(
    sources: Sequence[str],
    corpus: str | None,
    only: Path | None,
    hold_out: str,
    rules: Sequence[str],
    engine: Engine,
    json_to: str | None,
) -> None:
    """Prepare all but the last of ``sources`` into the last and show what became of them.

    Raises:
        UnsilentError: a source, rule or folder cannot be used.
    """
    from unsilent.corpora.speech import open_speech
    from unsilent.prepare import open_tree
    from unsilent.prepare_speech import prepare_speech

    if len(sources) < 2:
        raise CorpusError(
            f"{sources[0]}: names only one place; give one or more sources, then the folder of the shards"
        )
    if hold_out not in _HOLD_OUT:
        raise RecipeError(f"--hold-out {hold_out}: is none of {', '.join(_HOLD_OUT)}")
    config = _rules(rules)
    trees = {source: open_tree(source) for source in sources[:-1]}
    opened = [
        open_speech(source if tree is None else str(tree.folder), corpus=corpus) for source, tree in trees.items()
    ]
    counts = [source.count() for source in opened]
    names = None if only is None else _names(only)
    total = len(names) if names is not None else None if None in counts else sum(count or 0 for count in counts)
    with progress("Preparing", total, "recordings") as task:
        result = prepare_speech(
            _recordings(opened, names, hold_out),
            sources[-1],
            config,
            engine=engine,
            trees=[tree for tree in trees.values() if tree is not None],
            advance=task.advance,
        )
    if not result.recordings:
        raise CorpusError(f"{only or sources[0]}: no recording is left to prepare; check the names in the list")
    _show(opened, result, sources[-1], json_to)
    if not result.used and not result.skipped:
        why = ", ".join(f"{number} {reason}" for reason, number in result.reasons.items())
        raise CorpusError(f"{sources[0]}: none of {result.recordings} recordings could be used ({why}); give others")


def _rules(rules: Sequence[str]) -> ConditionConfig:
    import yaml

    from unsilent.config import validate_recipe
    from unsilent.listening import ConditionConfig

    given: dict[str, Any] = {}
    for rule in rules:
        key, found, value = rule.partition("=")
        if not found:
            raise RecipeError(f"--set {rule}: has no value; give KEY=VALUE")
        try:
            given[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {rule}: is no value; give a number") from error
    return validate_recipe(given, ConditionConfig, "--set")


def _names(path: Path) -> frozenset[str]:
    try:
        names = frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a list of names; give one a line") from error
    if not names:
        raise CorpusError(f"{path}: lists no recording; give one name a line")
    return names


def _recordings(sources: Sequence[SpeechSource], names: frozenset[str] | None, hold_out: str) -> Iterator[Recording]:
    """All recordings with their splits; only a source whose length is known is read ahead to know its speakers."""
    from unsilent.corpora.speech import assigned, chosen
    from unsilent.corpora.speech import hold_out as held_out

    for source in sources:
        found = source.recordings() if names is None else chosen(source.recordings(), names)
        if source.count() is None:
            for recording in found:
                yield assigned(recording, by_speaker=hold_out == "speaker", none=hold_out == "none")
        else:
            yield from held_out(list(found), hold_out)


def _show(sources: Sequence[SpeechSource], result: SpeechReport, out: str, json_to: str | None) -> None:
    from rich.table import Table

    table = Table("recordings", "number", "hours", "example", title=f"speech -> {out}", title_justify="left")
    table.add_row("asked for", str(result.recordings))
    table.add_row("used", str(result.used), f"{result.seconds_in / 3600:.2f}")
    table.add_row("done by an earlier run", str(result.skipped))
    for reason, number in result.reasons.items():
        table.add_row(f"dropped: {reason}", str(number), "", next(d.id for d in result.dropped if d.reason == reason))
    notes = sum((source.notes for source in sources), Counter[str]())
    for note, number in notes.items():
        table.add_row(note, str(number))
    table.add_row("used, with some clipping", str(result.with_clipping))
    table.add_section()
    table.add_row("pieces written", str(result.pieces), f"{sum(result.seconds.values()) / 3600:.2f}")
    for (corpus, split), seconds in sorted(result.seconds.items()):
        table.add_row(f"  {corpus}, {split}", "", f"{seconds / 3600:.3f}")
    for corpus, summary in _bandwidths(result).items():
        table.add_row(f"  {corpus}, bandwidth", "", "", summary)
    report(json_to).print(table)
    data = {
        "out": out,
        "recordings": result.recordings,
        "used": result.used,
        "skipped": result.skipped,
        "pieces": result.pieces,
        "hours_in": result.seconds_in / 3600,
        "hours": {f"{corpus}/{split}": seconds / 3600 for (corpus, split), seconds in result.seconds.items()},
        "bandwidth_khz": {f"{corpus}/{khz}": s / 3600 for (corpus, khz), s in sorted(result.bandwidths.items())},
        "with_clipping": result.with_clipping,
        "dropped": result.reasons,
        "dropped_recordings": {item.id: item.detail for item in result.dropped},
        "notes": notes,
        "shards": result.shards,
    }
    emit_json(data, json_to)


def _bandwidths(result: SpeechReport) -> dict[str, str]:
    """For every corpus, the share of its speech at each bandwidth, the most frequent ones."""
    shares: dict[str, list[tuple[float, int]]] = {}
    for (corpus, khz), seconds in result.bandwidths.items():
        shares.setdefault(corpus, []).append((seconds, khz))
    summaries = {}
    for corpus, found in shares.items():
        total = sum(seconds for seconds, _ in found)
        largest = sorted(found, reverse=True)[:5]
        summaries[corpus] = ", ".join(f"{khz} kHz {100 * seconds / total:.0f} %" for seconds, khz in largest)
    return summaries
