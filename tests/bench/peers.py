"""The programs that are measured beside ours, each with a repository made afresh outside the clock."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from media.exiftool import COMMON_OPTIONS, EMBEDDED_OPTION
from tests.bench.pairs import run_seconds


def restic_seconds(work: Path, source: Path) -> float:
    """Back up into a new restic repository (default settings, password in a file)."""
    repository, password = work / "restic", work / "restic.password"
    shutil.rmtree(repository, ignore_errors=True)
    password.write_text("measured\n")
    restic = ["restic", "--quiet", "--no-cache", "--repo", str(repository), "--password-file", str(password)]
    _run([*restic, "init"])
    seconds = run_seconds([*restic, "backup", str(source)])
    shutil.rmtree(repository)
    return seconds


def borg_seconds(work: Path, source: Path) -> float:
    """Back up into a new Borg repository with repokey encryption (default settings)."""
    repository = work / "borg"
    shutil.rmtree(repository, ignore_errors=True)
    environment = {"BORG_BASE_DIR": str(work / "borg-base"), "BORG_PASSPHRASE": "measured"}
    _run(["borg", "init", "--encryption", "repokey", str(repository)], environment)
    seconds = run_seconds(["borg", "create", f"{repository}::one", str(source)], environment)
    shutil.rmtree(repository)
    return seconds


def exiftool_seconds(files: Sequence[Path], processes: int) -> float:
    """Ask ExifTool, kept open in so many processes, about every file with the options that the workbench uses."""
    start = time.perf_counter()
    threads = [Thread(target=_ask_exiftool, args=(files[number::processes],)) for number in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def missing() -> list[str]:
    """Name the peers that are not installed."""
    return [name for name in ("openssl", "sha256sum", "restic", "borg", "exiftool") if shutil.which(name) is None]


def _ask_exiftool(files: Sequence[Path]) -> None:
    command = ["exiftool", "-stay_open", "True", "-@", "-", "-common_args", *COMMON_OPTIONS]
    with subprocess.Popen(  # noqa: S603 - fixed words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, bufsize=0
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was started with pipes")
        for number, path in enumerate(files):
            process.stdin.write(f"{EMBEDDED_OPTION}\n{path}\n-execute{number}\n".encode())
            answer = bytearray()
            while not answer.endswith(b"{ready%d}\n" % number):
                answer += os.read(process.stdout.fileno(), 1 << 17)
        process.stdin.write(b"-stay_open\nFalse\n")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(  # noqa: S603 - fixed words and our own paths
        command, check=True, capture_output=True, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL
    )
