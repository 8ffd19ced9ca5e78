"""Every error that unsilent raises on purpose.

    UnsilentError
    ├── MediaError        a video or audio file cannot be read
    ├── OutputError       a result cannot be written
    ├── FaceError         no usable face or mouth in a video
    ├── CorpusError       a corpus folder, alignment or split is not as its protocol says
    ├── ShardError        a Parquet shard is damaged or has another schema
    ├── RecipeError       a recipe or a ``--set`` override is not valid
    ├── CheckpointError   a checkpoint is damaged, or does not fit what it is loaded into
    ├── TrainingError     training cannot go on (NaN loss, no data)
    ├── EvaluationError   a metric, recogniser or split cannot be used
    └── StudyError        a run of a study failed, or its results are damaged

The message of each is one line that names the file (or key) and the remedy. The command line prints it and
ends with exit code 2; a traceback reaches a user only if there is a defect in unsilent itself.
"""

from __future__ import annotations


class UnsilentError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = 2


class MediaError(UnsilentError):
    """A video or audio file is missing, damaged, or holds no stream of the wanted kind."""


class OutputError(UnsilentError):
    """An output path cannot be written, or the disk is full."""


class FaceError(UnsilentError):
    """No face, no such face, or a face in too few frames."""


class CorpusError(UnsilentError):
    """A corpus is missing, incomplete, or contradicts its own protocol."""


class ShardError(UnsilentError):
    """A Parquet shard is truncated, unreadable, or of another schema."""


class RecipeError(UnsilentError):
    """A recipe file or an override has an unknown key, a wrong type or an impossible value."""


class CheckpointError(UnsilentError):
    """A checkpoint is missing, fails its checksum, or does not fit the model."""


class TrainingError(UnsilentError):
    """Training cannot go on."""


class EvaluationError(UnsilentError):
    """A metric, a recogniser or a split cannot be used."""


class StudyError(UnsilentError):
    """A run of a study failed, or its results are damaged."""
