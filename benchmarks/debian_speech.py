"""Real speech out of Debian packages: download, unpack without root, list with licence.

    python benchmarks/debian_speech.py OUT [--package NAME ...]
    unsilent prepare speech OUT/manifest.tsv runs/shards/debian

Needs ``apt-get`` and ``dpkg-deb`` on Debian or Ubuntu; nothing is installed. The recordings are games' and teaching
programs' own, most of them under the GPL: train on them, do not commit them. Which file is speech is told by where it
lies (music and noises are elsewhere, or left out by name); language and speaker come from the path.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unsilent.corpora.speech import AUDIO_SUFFIXES
from unsilent.errors import OutputError, UnsilentError
from unsilent.files import atomic_path

COLUMNS = ("path", "corpus", "speaker", "language", "licence")


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package with speech in it."""

    name: str
    licence: str
    pattern: str
    """What the path of a recording matches; the groups ``language`` and ``speaker`` are taken from it."""
    language: str | None = None


PACKAGES = (
    # A description is NAME_desc_LANGUAGE.ogg; NAME.ogg is the noise that the thing makes.
    Package(
        "tuxpaint-stamps-default", "GPL-2+", r"stamps/.*_desc(_(?P<language>[a-z]{2}(_[A-Z]{2})?))?\.(ogg|wav)$", "en"
    ),
    Package("klettres-data", "GPL-2+", r"klettres/(?P<language>[a-z_A-Z@]+)/(alpha|syllab|sounds)?.*\.(ogg|wav|mp3)$"),
    Package("ktuberling-data", "GPL-2+", r"ktuberling/sounds/(?P<language>[a-z_A-Z@]+)/.*\.(ogg|wav|opus)$"),
    Package("fillets-ng-data-cs", "GPL-2+", r"sound/[^/]+/cs/([^/-]+-(?P<speaker>[a-z]+)-)?.*\.ogg$", "cs"),
)


def fetch(package: Package, out: Path) -> Path:
    """Download and unpack one package into ``out``/NAME; nothing is done if that was done before.

    Raises:
        OutputError: apt or dpkg failed; the message ends with what it said.
    """
    folder = out / package.name
    if folder.is_dir():
        return folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        _run(["apt-get", "download", package.name], Path(temporary))
        archive = next(Path(temporary).glob("*.deb"))
        unpacked = Path(temporary) / "unpacked"
        _run(["dpkg-deb", "-x", str(archive), str(unpacked)], Path(temporary))
        unpacked.rename(folder)
    return folder


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OutputError(f"{command[0]}: is not here; this works on Debian and Ubuntu") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise OutputError(f"{' '.join(command[:3])}: failed ({said}); try apt-get update first") from error


def rows(package: Package, folder: Path, out: Path) -> Iterator[dict[str, str]]:
    """The package's recordings as rows of a manifest."""
    for path in sorted(folder.rglob("*")):
        match = re.search(package.pattern, path.as_posix())
        if match is None or path.suffix.lower() not in AUDIO_SUFFIXES or path.is_symlink():
            continue
        found = match.groupdict()
        language = found.get("language") or package.language or ""
        yield {
            "path": path.relative_to(out).as_posix(),
            "corpus": package.name,
            "speaker": found.get("speaker") or language or package.name,
            "language": language,
            "licence": package.licence,
        }


def main() -> int:
    """Fetch the packages and write ``manifest.tsv``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to unpack into")
    parser.add_argument("--package", action="append", choices=[package.name for package in PACKAGES])
    arguments = parser.parse_args()
    chosen = [package for package in PACKAGES if arguments.package is None or package.name in arguments.package]
    counts = {}
    try:
        with atomic_path(arguments.out / "manifest.tsv") as temporary, open(temporary, "w", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            for package in chosen:
                found = list(rows(package, fetch(package, arguments.out), arguments.out))
                writer.writerows(found)
                counts[package.name] = len(found)
    except UnsilentError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    for name, count in counts.items():
        sys.stdout.write(f"{name}: {count} recordings\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
