"""Taking the sound out of a video, to make a silent clip of a talking one."""

from __future__ import annotations

from pathlib import Path

import av

from unsilent.errors import MediaError
from unsilent.files import atomic_path

__all__ = ["drop_sound"]


def drop_sound(video: Path, output: Path) -> Path:
    """Copy the picture of ``video``, packet by packet, into ``output`` without its sound.

    Raises:
        MediaError: the video cannot be read, or its codec does not go into the output's container.
        OutputError: the output cannot be written.
    """
    try:
        with atomic_path(output) as temporary, av.open(str(video)) as source, av.open(str(temporary), "w") as sink:
            picture = source.streams.video[0]
            copy = sink.add_stream_from_template(picture, opaque=True)
            for packet in source.demux(picture):
                if packet.dts is not None:
                    packet.stream = copy
                    sink.mux(packet)
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"{video}: its picture cannot be copied into {output.suffix} ({error})") from error
    return output
