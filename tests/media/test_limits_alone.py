"""Where the sandbox cannot run: the program refuses, or the settings accept limits alone and it says so."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from archive.errors import ConfigError
from media.confinement import (
    Confinement,
    ConfinementLevel,
    Limits,
    Process,
    end_process,
    find_tool,
    open_confinement,
    probe_confinement,
)
from media.options import MediaSettings
from tests.media import probes

LIMITS = Limits(memory_octets=768 << 20, cpu_seconds=1)


def test_where_bubblewrap_cannot_run_the_program_refuses_and_says_what_to_do(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = open_folder / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{open_folder}:{os.environ['PATH']}")
    with pytest.raises(ConfigError) as caught:
        open_confinement(MediaSettings())
    assert caught.value.code == "media/cannot-confine"
    assert "No permissions to create new namespace" in caught.value.message
    assert "rlimits-only" in caught.value.message
    status = probe_confinement(MediaSettings(rlimits_only=True))
    assert status.level is ConfinementLevel.RLIMITS_ONLY
    assert "WITHOUT a sandbox" in status.reason


def test_a_missing_bubblewrap_is_named(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("true", "prlimit", "setpriv"):
        (open_folder / name).symlink_to(find_tool(name))
    monkeypatch.setenv("PATH", str(open_folder))
    status = probe_confinement(MediaSettings())
    assert status.level is None
    assert "bwrap is not installed" in status.reason


def test_limits_alone_still_limit(open_folder: Path) -> None:
    open_folder.chmod(0o777)
    target = open_folder / "written"
    with Confinement(ConfinementLevel.RLIMITS_ONLY, run_as="nobody") as confinement:
        for code in (probes.MEMORY, f"open(my $h, '>', '{target}'); print syswrite($h, 'x');"):
            process = confinement.start([find_tool("perl"), "-e", code], limits=LIMITS)
            try:
                output, _ = process.communicate(timeout=30)
            finally:
                end_process(process)
            assert process.returncode != 0
            assert output == b""
    assert not target.exists() or target.stat().st_size == 0


def test_limits_alone_let_many_tools_run_at_once_and_still_end_a_bomb() -> None:
    """Without a namespace the kernel counts all that the tools' user runs: few for each tool would starve the next."""
    if os.geteuid() != 0:
        pytest.skip("not started as root, where no limit on processes is set")
    few = Limits(memory_octets=768 << 20, cpu_seconds=20, processes=4)
    bomb = (
        "my $n = 0; while (defined(my $p = fork)) { sleep 60 unless $p; last if ++$n == 2000 } $| = 1; print qq($n\\n);"
    )
    with Confinement(ConfinementLevel.RLIMITS_ONLY, run_as="nobody") as confinement, ExitStack() as closing:

        def start(code: str) -> Process:
            process = confinement.start([find_tool("perl"), "-e", code], limits=few)
            closing.callback(end_process, process)
            return process

        neighbours = [start("$| = 1; print 'up'; sleep 60") for _ in range(20)]
        for each in neighbours:
            assert each.stdout is not None and each.stdout.read(2) == b"up"
        output, complaint = start("defined(my $p = fork) or die; print 'forked' if $p; exit").communicate(timeout=30)
        assert (output, complaint) == (b"forked", b"")
        told = start(f"{bomb} sleep 60").stdout
        assert told is not None and 0 < int(told.read(16)) < 512


def test_tools_never_run_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("not started as root")
    for name in ("root", "nobody-by-this-name"):
        with pytest.raises(ConfigError) as caught:
            Confinement(ConfinementLevel.BUBBLEWRAP, run_as=name)
        assert caught.value.code == "media/no-such-user"
