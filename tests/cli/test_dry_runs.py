"""Every command that writes can say first what it would do, and then has written nothing."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from cli import main
from tests.way_in import SAMPLES, YEAR

Run = Callable[..., Result]

READERS = frozenset(
    "approvals doctor ls show log verify exposure jobs completion incident-ls staff-ls hold-ls "
    "receipt-check packet-check packet-ls keys-recovery policy-show policy-test preview drop-ls drop-card serve "
    "drop-received drop-told names checkpoint-show checkpoint-prove".split()
)
"""What changes no record of itself: they enter that something was read or opened, at most, or wait for people."""

WRITERS = {
    "incident-new": ["--title", "Raid"],
    "incident-confirm": [f"I-{YEAR}-0001"],
    "incident-unfounded": [f"I-{YEAR}-0001"],
    "import": [str(SAMPLES / "Documents"), "-i", f"I-{YEAR}-0001"],
    "hold-add": [f"I-{YEAR}-0001", "--title", "Doe", "--trigger", "subpoena"],
    "hold-lift": [f"H-{YEAR}-0001", "--reason", "r"],
    "item-key": [f"E-{YEAR}-00001", "--reason", "r"],
    "item-destroy": [f"E-{YEAR}-00001", "--reason", "r"],
    "packet-build": [f"E-{YEAR}-00001", "--to", "t", "--basis", "b", "OUT"],
    "staff-add": ["ortiz", "--role", "attorney", "--may-unlock"],
    "staff-close": ["staff-000000"],
    "keys-grant": ["staff-000000"],
    "keys-rotate": [],
    "backup": ["OUT"],
    "worker": [],
    "clock-offset": [f"E-{YEAR}-00001", "--seconds", "3", "--method", "m"],
    "clean": [f"E-{YEAR}-00001", "--audience", "press", "-o", "OUT"],
    "drop-new": ["-i", f"I-{YEAR}-0001"],
    "drop-revoke": [f"D-{YEAR}-0001"],
    "drop-ask": [f"TG-{YEAR}-00001", "q"],
    "drop-rescue": [],
    "unlock": ["--minutes", "5"],
    "lock": [],
    "init": ["--print-recovery"],
    "rebuild": [],
}


def leaves(group: click.Group, context: click.Context, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, context, f"{before}{name}-")
        else:
            yield before + name, command


def tree(home: Path) -> dict[str, str]:
    """Digest every file but the shared memory of the database, which holds nothing that lasts."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm") and path.stat().st_size
    }


def test_every_command_is_known_here_as_a_reader_or_as_a_writer_with_a_dry_run() -> None:
    known = dict(leaves(main, click.Context(main)))
    assert set(known) == READERS | WRITERS.keys()
    for name in WRITERS:
        options = {option for each in known[name].params for option in each.opts}
        assert {"-n", "--dry-run", "--explain"} <= options, name


# A question needs a visit, which needs a server; that its plan fails as it must is tested below.
@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"drop-ask"}))
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(run: Run, home: Path, tmp_path: Path, name: str) -> None:
    if name == "hold-lift":
        assert run("hold", "add", f"I-{YEAR}-0001", "--title", "t", "--trigger", "subpoena").exit_code == 0
    if name == "drop-revoke":
        assert run("drop", "new", "-i", f"I-{YEAR}-0001").exit_code == 0
    given = [str(tmp_path / "out") if word == "OUT" else word for word in WRITERS[name]]
    words = [*(name.split("-") if name not in ("import", "clock-offset") else [name]), *given]
    environment = {"TESTIGO_HOME": str(tmp_path / "new")} if name == "init" else {}
    if name == "rebuild":
        (home / "catalogue.sqlite").rename(tmp_path / "kept")
    before = tree(home)
    planned = run(*words, "--dry-run", **environment)
    assert planned.exit_code == 0, planned.output
    assert planned.stdout.startswith("Would "), planned.stdout
    assert "the same line without --dry-run\n" in planned.stdout
    explained = run(*words, "--explain", "--json", **environment)
    assert explained.exit_code == 0, explained.output
    assert json.loads(explained.stdout.splitlines()[-1])["dry_run"] is True
    assert tree(home) == before
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "new").exists()


def test_a_plan_that_would_fail_fails(run: Run) -> None:
    for words in (
        ["hold", "lift", f"H-{YEAR}-0099", "--reason", "r"],
        ["item", "destroy", f"E-{YEAR}-00099", "--reason", "r"],
        ["item", "key", f"E-{YEAR}-00099", "--reason", "r"],
        ["drop", "ask", f"TG-{YEAR}-00099", "q"],
        ["drop", "new", "-i", f"I-{YEAR}-0099"],
        ["incident", "confirm", f"I-{YEAR}-0099"],
        ["clock-offset", f"E-{YEAR}-00099", "--seconds", "1", "--method", "m"],
        ["hold", "add", f"I-{YEAR}-0099", "--title", "t", "--trigger", "subpoena"],
    ):
        assert run(*words, "--dry-run").exit_code == 5


def test_previews_are_only_planned_where_that_is_asked_for(run: Run, home: Path, tmp_path: Path) -> None:
    before = tree(home)
    planned = run("preview", f"E-{YEAR}-00002", "--make", "--dry-run")
    assert planned.stdout.startswith("Would have the previews")
    none = run("preview", f"E-{YEAR}-00002", "--kind", "poster", "-o", str(tmp_path / "out"), "--dry-run")
    assert none.exit_code == 5
    assert "archive/no-such-preview" in none.stderr
    assert tree(home) == before
    assert not (tmp_path / "out").exists()
