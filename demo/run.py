"""`make demo`: the main job on real sample files, from an empty folder to a packet that a stranger has verified.

Everything goes through the command line, as a technician would type it. The archive in `demo/archive` is thrown away
and made anew each time; its time-stamp authority is made here too and proves nothing outside this demonstration.

    python demo/run.py [FOLDER]     FOLDER, in place of `demo`, takes archive, packet and what is beside them
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DEMO = Path(__file__).resolve().parent
REPOSITORY = DEMO.parent
FOLDER = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DEMO
ARCHIVE, PACKET, WORK = FOLDER / "archive", FOLDER / "packet", FOLDER / "work"
RECEIPT = WORK / "receipt.json"
PASSPHRASE = "a demonstration passphrase of many words"  # noqa: S105 - opens nothing but the demonstration


def main() -> int:
    os.chdir(REPOSITORY)
    for folder in (ARCHIVE, PACKET, WORK):
        shutil.rmtree(folder, ignore_errors=True)
    WORK.mkdir(mode=0o700, parents=True)
    passphrase = WORK / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    os.environ |= {"TESTIGO_HOME": str(ARCHIVE), "TESTIGO_PASSPHRASE_FILE": str(passphrase)}
    with _authority() as (url, root):
        _write_settings(url, root)
        _chapter("1  Set up an archive")
        _testigo("init", "--split", "2of3", "--print-recovery", quiet_after=4)
        _testigo("doctor")
        _chapter("2  Import the sample incident (the archive stays locked: taking in needs no key)")
        number = _testigo("incident", "new", "--title", "Demonstration: raid at 6th and Alvarado").strip()
        samples = "demo/samples"
        _testigo("import", samples, "-i", number, "--custodian", "M. Rivera (fictional)", "--dry-run")
        _testigo(
            "import",
            samples,
            "-i",
            number,
            "--custodian",
            "M. Rivera (fictional)",
            "--receipt",
            str(RECEIPT),
        )
        _testigo("ls")
        _chapter(
            "3  The log's checkpoint, time-stamped above by a throw-away authority: it proves nothing outside this demo"
        )
        print((ARCHIVE / "store" / "log" / "checkpoint").read_text()[:400].rstrip() + " …")
        _chapter("4  Check everything, and what a seizure today would obtain")
        _testigo("verify")
        _testigo("receipt", "check", str(RECEIPT), "--root", str(root))
        _testigo("exposure")
        _chapter("5  Unlock, look at one item, build a packet for counsel")
        _testigo("unlock", "--minutes", "5")
        try:
            items = [json.loads(line)["item"] for line in _run([*_command(), "ls", "--json"]).stdout.splitlines()]
            _testigo("show", items[0])
            _testigo(
                "packet",
                "build",
                "-i",
                number,
                "--to",
                "A. Ortiz (fictional)",
                "--basis",
                "client file",
                "--yes",
                str(PACKET),
            )
        finally:
            _testigo("lock")
    _chapter(
        "6  Verify the packet as a stranger would: the verifier inside it, no network, nothing of Testigo installed"
    )
    _verify(PACKET, expect=0)
    _chapter("7  Change one byte in a copy: the verifier must refuse it and name the file")
    changed = WORK / "changed-packet"
    shutil.copytree(PACKET, changed)
    exhibit = sorted((changed / "data" / "exhibits").iterdir())[0]
    octets = bytearray(exhibit.read_bytes())
    octets[len(octets) // 2] ^= 1
    exhibit.chmod(0o600)
    exhibit.write_bytes(octets)
    _verify(changed, expect=4)
    _chapter("Where everything is")
    print(f"  archive   {_shown(ARCHIVE)}")
    print(f"  packet    {_shown(PACKET)}   (open read-me-first.html)")
    print(f"  receipt   {_shown(RECEIPT)}")
    print(f"  go on     TESTIGO_HOME={_shown(ARCHIVE)} .venv/bin/testigo --help")
    return 0


def _write_settings(url: str, root: Path) -> None:
    """Name the throw-away authority; allow limits alone where this machine cannot make namespaces, and say so."""
    ARCHIVE.mkdir(mode=0o700)
    sys.path.insert(0, str(REPOSITORY))
    from media.confinement import ConfinementLevel, probe_confinement
    from media.options import MediaSettings

    confinement = "bubblewrap"
    if probe_confinement(MediaSettings()).level is not ConfinementLevel.BUBBLEWRAP:
        confinement = "rlimits-only"
        print(
            "!! This machine closes user namespaces: media tools run under resource limits ALONE in this demonstration."
        )
        print("!! A real archive refuses to work like that unless its settings allow it.")
    (ARCHIVE / "config.toml").write_text(
        "[archive]\n"
        'organisation = "Demonstration"\norigin = "testigo.example/demo"\n'
        "[keys]\nscrypt_work_factor = 15\n"
        f'[media]\nconfinement = "{confinement}"\n'
        f'[[custody.authorities]]\nname = "throw-away"\nurl = "{url}"\nroots = ["{root}"]\n'
    )


@contextmanager
def _authority() -> Iterator[tuple[str, Path]]:
    folder = WORK / "authority"
    folder.mkdir()
    command = [sys.executable, str(DEMO / "authority.py"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            if process.stdout is None:
                raise RuntimeError("the authority has no output")
            ready = json.loads(process.stdout.readline())
            yield ready["url"], Path(ready["root"])
        finally:
            process.terminate()


def _command() -> list[str]:
    return [str(Path(sys.executable).with_name("testigo"))]


def _testigo(*words: str, quiet_after: int | None = None, expect: int = 0) -> str:
    """Run one command, show it and what it says; stop the demonstration where it ends otherwise than expected."""
    print(f"\n$ testigo {' '.join(_shown(Path(word)) if word.startswith('/') else _quoted(word) for word in words)}")
    done = _run([*_command(), *words], show_errors=True)
    lines = done.stdout.splitlines()
    if quiet_after is not None and len(lines) > quiet_after:
        lines = [*lines[:quiet_after], f"… ({len(lines) - quiet_after} lines with keys for paper, left out here)"]
    print("\n".join(lines))
    if done.returncode != expect:
        sys.exit(f"the demonstration stopped: exit {done.returncode}")
    return done.stdout


def _verify(packet: Path, *, expect: int) -> None:
    print(f"\n$ cd {_shown(packet)} && python3 -I verify.py")
    done = _run([sys.executable, "-I", "verify.py"], folder=packet)
    print(done.stdout.rstrip())
    if done.returncode != expect:
        sys.exit(f"the demonstration stopped: the verifier ended {done.returncode}, expected {expect}")
    print(f"(exit {done.returncode})")


def _run(
    command: Sequence[str], *, folder: Path | None = None, show_errors: bool = False
) -> subprocess.CompletedProcess[str]:
    errors = None if show_errors else subprocess.PIPE
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)  # noqa: S603


def _chapter(title: str) -> None:
    print(f"\n{'─' * 100}\n{title}\n{'─' * 100}")


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def _shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main())
