"""The ``unsilent`` command.

A verb is a module of this package plus a line in :data:`VERBS`. The module is imported only when its verb is
invoked, and holds either a function of the verb's name or ``app``, a ``typer.Typer`` with sub-verbs.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from unsilent._version import __version__
from unsilent.errors import UnsilentError

__all__ = ["VERBS", "app", "main"]

VERBS = {
    "speak": "Give a silent video its speech.",
    "inspect": "Draw the face track and the mouth crops of a video.",
    "demo": "Speak an example clip and show the result.",
    "serve": "Open a page in the browser that speaks videos.",
    "fetch": "Download a public corpus.",
    "talker": "Make clips of drawn talking heads.",
    "prepare": "Turn a corpus into shards to train from.",
    "pretrain": "Train a model on speech alone.",
    "train": "Train a model from a recipe.",
    "adapt": "Fine-tune a shipped model on one person's own clips.",
    "study": "Does pre-training help? Run the arms of a study.",
    "vocode": "Turn speech into a mel spectrogram and back into speech.",
    "evaluate": "Measure a model, or the sounds of any other program.",
    "compare": "Set two evaluations side by side.",
    "convert": "Turn a public checkpoint into a model folder.",
    "export": "Write a model in a format of another engine.",
    "bench": "Measure speed on this machine.",
}


class VerbGroup(TyperGroup):
    """Lists all verbs from :data:`VERBS` and imports the one that is invoked."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for verb, summary in VERBS.items():
            self.add_command(TyperCommand(verb, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the invoked verb's real command in place of the one that only stands in the list."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in VERBS else command, rest


def _load(verb: str) -> Any:
    module = importlib.import_module(f"{__name__}.{verb}")
    if hasattr(module, "app"):
        return typer.main.get_group(module.app)
    single = typer.Typer(add_completion=False)
    single.command(name=verb)(getattr(module, verb))
    return typer.main.get_command(single)


app = typer.Typer(
    cls=VerbGroup,
    add_completion=False,
    help="Give silent video of a talking person its speech back, and train the models that do it.",
    epilog="Ends with 0 on success and with 2, and one line that says why, when something given cannot be used.",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"unsilent {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options that come before a verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    A mistake of the user's is one ``error: ...`` line on standard error and 2; Ctrl-C is 130; a reader of standard
    output that went away is 1, without a word. Any other exception passes through: it is a defect.

    Args:
        argv: the arguments without the program's name; those of the process by default.
    """
    from unsilent.cli.common import logs_on_console

    if argv is None:
        _end_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be valid text; showing it must not fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with logs_on_console():
            arguments = sys.argv[1:] if argv is None else list(argv)
            command = typer.main.get_command(app)
            result = command.main(arguments or ["--help"], prog_name="unsilent", standalone_mode=False)
            sys.stdout.flush()
    except UnsilentError as error:
        _complain(f"error: {error}")
        return error.exit_code
    except typer.TyperException as error:
        _complain(f"error: {error.format_message()}")
        context = getattr(error, "ctx", None)
        _complain(f"hint: {context.command_path if context else 'unsilent'} --help shows what can be given")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 1
    return result if isinstance(result, int) else 0


def _complain(text: str) -> None:
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.splitlines()))
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        return


def _forget_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not fail aloud."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


def _end_on_sigterm() -> None:
    """Let SIGTERM unwind the stack, so that temporary files are removed; forked children end at once."""
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != owner:
            os._exit(128 + number)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
