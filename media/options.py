"""What the workbench may use and how long it may take. No I/O.

The settings of the archive are mapped to this value where the rooms are put together, so that this room reads no
settings file of its own.
"""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """The limits of the workbench and of its tools.

    `workers`: files examined at once, each by its own ExifTool process. `memory_mib`: address space of each process of
    a tool; `transcode_memory_mib`: of FFmpeg where it converts, whose threads reserve more than they use.
    `wall_seconds`: all that may be spent on one file. `small_file_mib`: up to this size a file is given to FFmpeg in
    one sealed memory file, above it by ranges. `output_mib`: what a tool may answer. `files_per_process`: after so many
    files ExifTool is started anew. `cleaning_octets_a_second`: cleaning a file may take `wall_seconds` and what its
    size takes at this speed. `rlimits_only`: resource limits alone are enough where bubblewrap cannot run. `run_as`:
    the user that tools become when the archive runs as root.
    """

    workers: int = 2
    memory_mib: int = 768
    transcode_memory_mib: int = 2048
    wall_seconds: int = 30
    small_file_mib: int = 32
    output_mib: int = 16
    files_per_process: int = 2000
    cleaning_octets_a_second: int = 16 * MIB
    rlimits_only: bool = False
    run_as: str = "nobody"
    exiftool_path: str = "exiftool"
    ffprobe_path: str = "ffprobe"
    ffmpeg_path: str = "ffmpeg"
