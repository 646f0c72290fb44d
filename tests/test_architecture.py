"""The building stands as `docs/architecture.md` draws it: who may import whom, what stays pure, who reads the clock."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from archive import errors

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("archive", "custody", "media", "ingest", "export", "web")
DOORS = ("cli", "commands")

# Which prefixes of our own modules each room may import (the table of docs/architecture.md).
MAY_IMPORT = {
    "archive": ("archive",),
    "custody": ("custody", "archive"),
    "media": ("media", "archive.errors", "archive.types", "archive.settings"),
    "ingest": ("ingest", "archive", "custody", "media"),
    "export": ("export", "archive", "custody", "media"),
    "web": (
        "web",
        "archive.types",
        "archive.errors",
        "archive.access",
        "archive.age.recipients",
        "archive.settings",
        "ingest.droplinks",
        "ingest.choices",
        "ingest.consents",
        "ingest.finishing",
        "ingest.handing_over",
        "ingest.returning",
        "ingest.told",
        "ingest.tokens",
        "ingest.uploads",
        "ingest.visits",
    ),
    "commands": ("",),
    "cli": ("",),
}

# Bytes and values in, values or an exception out. Among our own modules they import only such. Modules that say
# "No I/O" of themselves are held to that too.
PURE = (
    "archive.access",
    "archive.errors",
    "archive.types",
    "custody.canonical",
    "custody.checkpoint",
    "custody.commitments",
    "custody.entries",
    "custody.merkle",
    "custody.receipt",
    "custody.signed_note",
    "custody.tiles",
    "custody.tlog_proof",
    "media.claims",
    "media.policy",
)
DOES_IO = set(
    "asyncio boto3 click ctypes fcntl flask http mmap multiprocessing os rich select shutil signal socket "
    "sqlalchemy sqlite3 subprocess sys tempfile threading urllib".split()
)
# Salts and signatures need chance; it comes from the operating system and from nowhere else.
PURE_OF_OS = {"os.urandom"}
# A path may be carried as a value; these ask the disk.
ASKS_THE_DISK = set(
    "read_bytes read_text write_bytes write_text mkdir rmdir unlink rename touch chmod exists is_file is_dir "
    "is_symlink iterdir glob rglob stat lstat resolve readlink symlink_to hardlink_to".split()
)

# Where the wall clock may be read. Everywhere else it comes in as a constructor argument.
READS_THE_CLOCK = {"cli"}
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns", "time.localtime",
    "time.gmtime", "time.ctime", "time.strftime",
}  # fmt: skip

FILE_LINES = 400
FUNCTION_LINES = 60
# It travels in every packet as one file that a stranger can read from top to bottom.
LONG_FILES = {"export.packet_verifier"}
PRINTS = {"export.packet_verifier", *DOORS}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_files() -> Iterator[Path]:
    for room in (*ROOMS, "commands"):
        yield from sorted((ROOT / room).rglob("*.py"))
    yield ROOT / "cli.py"


MODULES = {module_name(path): path for path in source_files() if path.is_file()}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def package_of(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


@cache
def imported(module: str) -> tuple[tuple[str, ast.stmt], ...]:
    """Every module that one module imports, wherever in its code the import stands."""
    return tuple(_imported(module))


def _imported(module: str) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package_of(module).split(".")
                base = ".".join([*above[: len(above) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield (full if full in MODULES else base), node


def room_of(module: str) -> str:
    return module.partition(".")[0]


def is_ours(module: str) -> bool:
    return room_of(module) in (*ROOMS, *DOORS, "tests", "demo")


def within(module: str, prefix: str) -> bool:
    return not prefix or module == prefix or module.startswith(f"{prefix}.")


def calls(module: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the last two names of what is called: `datetime.now`, `open`."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            yield ".".join(ast.unparse(node.func).split(".")[-2:]), node


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def place(module: str, node: ast.AST) -> str:
    return f"{MODULES[module].relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_rooms_import_only_what_the_table_allows() -> None:
    none(
        [
            f"{place(module, node)} imports {target}"
            for module in MODULES
            for target, node in imported(module)
            if is_ours(target) and not any(within(target, prefix) for prefix in MAY_IMPORT[room_of(module)])
        ]
    )


def test_nothing_imports_tests_or_the_demo() -> None:
    none(
        [
            f"{place(module, node)} imports {target}"
            for module in MODULES
            for target, node in imported(module)
            if room_of(target) in ("tests", "demo")
        ]
    )


def test_only_the_doors_hide_our_own_imports_in_functions() -> None:
    found = []
    for module in MODULES:
        if room_of(module) in DOORS:
            continue
        hidden = {id(node) for function in functions(module) for node in ast.walk(function)}
        found += [
            f"{place(module, node)} hides the import of {target} in a function"
            for target, node in imported(module)
            if is_ours(target) and id(node) in hidden
        ]
    none(found)


def test_there_are_no_import_cycles() -> None:
    edges = {module: {target for target, _ in imported(module) if target in MODULES} for module in MODULES}
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            pytest.fail("a cycle: " + " -> ".join((*trail[trail.index(module) :], module)))
        if module in done:
            return
        for target in sorted(edges[module] - {module}):
            walk(target, (*trail, module))
        done.add(module)

    for module in sorted(edges):
        walk(module, ())


SAYS_NO_IO = tuple(name for name in MODULES if "No I/O" in (ast.get_docstring(tree_of(name)) or ""))
ALL_PURE = tuple(sorted({*SAYS_NO_IO, *PURE}))


@pytest.mark.parametrize("module", ALL_PURE)
def test_a_pure_module_does_no_input_or_output(module: str) -> None:
    found = [
        f"{place(module, node)} imports {target}"
        for target, node in imported(module)
        if (target != "os" and room_of(target) in DOES_IO)
        or (module in PURE and is_ours(target) and target not in ALL_PURE)
    ]
    found += [
        f"{place(module, node)} calls {name}" for name, node in calls(module) if name in ("open", "io.open", "print")
    ]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute) and node.attr in ASKS_THE_DISK:
            found.append(f"{place(module, node)} uses {ast.unparse(node)}")
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and ast.unparse(node) not in PURE_OF_OS:
            found.append(f"{place(module, node)} uses {ast.unparse(node)}")
    none(found)


def test_the_core_of_the_register_is_on_the_pure_list() -> None:
    for name in ("canonical", "merkle", "tiles", "checkpoint", "commitments", "entries", "tlog_proof", "receipt"):
        assert f"custody.{name}" in MODULES


def test_the_clock_is_read_in_one_place() -> None:
    none(
        [
            f"{place(module, node)} calls {name}"
            for module in MODULES
            if module not in READS_THE_CLOCK
            for name, node in calls(module)
            if name in CLOCKS
        ]
    )


def test_every_sync_is_the_one_that_a_stopped_file_system_cannot_answer_falsely() -> None:
    """`archive.durable` asks with fstat whether an fsync that said 0 meant it; a call anywhere else would not."""
    syncs = {"fsync", "fdatasync"}
    none(
        [
            f"{place(module, node)} uses {ast.unparse(node)}"
            for module in MODULES
            if module != "archive.durable"
            for node in ast.walk(tree_of(module))
            if (isinstance(node, ast.Attribute) and node.attr in syncs)
            or (isinstance(node, ast.ImportFrom) and syncs & {alias.name for alias in node.names})
        ]
    )


def test_only_the_ledger_makes_a_logged_access() -> None:
    makers = {
        module
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and re.search(r"\bLoggedAccess\b", ast.unparse(node.func) + _new_arguments(node))
    }
    assert makers <= {"custody.ledger"}


def _new_arguments(node: ast.Call) -> str:
    """What is built behind a constructor's back: `object.__new__(X)`, `replace(x)` of a value is caught by its type."""
    return ast.unparse(node) if ast.unparse(node.func).endswith("__new__") else ""


def test_the_packet_verifier_needs_nothing_but_python() -> None:
    verifier = "export.packet_verifier"
    none(
        [
            f"{place(verifier, node)} imports {target}"
            for target, node in imported(verifier)
            if room_of(target) not in sys.stdlib_module_names
        ]
    )


def test_only_doors_and_the_packet_verifier_print() -> None:
    none(
        [
            f"{place(module, node)} prints"
            for module in MODULES
            if module not in PRINTS and room_of(module) not in PRINTS
            for name, node in calls(module)
            if name == "print"
        ]
    )


def error_classes(base: type[errors.TestigoError] = errors.TestigoError) -> Iterator[type[errors.TestigoError]]:
    for sub in base.__subclasses__():
        yield sub
        yield from error_classes(sub)


def test_every_error_ends_with_the_exit_code_that_the_tree_gives() -> None:
    import cli

    for module in MODULES:
        if "migrations" not in module:
            importlib.import_module(module)
    drawn = dict(re.findall(r"[├└]── (\w+) .*?exit (\d+)", errors.__doc__ or ""))
    categories = {sub.__name__: sub for sub in errors.TestigoError.__subclasses__()}
    assert set(drawn) == set(categories), "the tree in archive/errors.py and its classes differ"
    assert {name: str(cli.EXIT_CODES[sub]) for name, sub in categories.items()} == drawn
    for sub in error_classes():
        assert any(parent in cli.EXIT_CODES for parent in sub.__mro__), f"{sub.__name__} has no exit code"


def test_files_stay_short_enough_to_be_read() -> None:
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in MODULES.items()
        if module not in LONG_FILES
    }
    none([f"{module}: {length} lines" for module, length in lengths.items() if length > FILE_LINES])


def test_functions_stay_short_enough_to_be_read() -> None:
    found = []
    for module in MODULES:
        if ".migrations." in module:
            continue  # a migration is one list of tables, frozen once released
        for function in functions(module):
            first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
            length = (function.end_lineno or 0) - first.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{place(module, function)} {function.name}: {length} lines")
    none(found)


def test_a_broad_except_says_why_on_its_line() -> None:
    found = []
    for module, path in MODULES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                goes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                broad = caught in ("everything", "Exception", "BaseException")
                if broad and not goes_on and "#" not in lines[node.lineno - 1]:
                    found.append(f"{place(module, node)} catches {caught} without a reason")
    none(found)


def test_a_suppression_carries_a_code_and_a_reason() -> None:
    without_code = r"noqa(?!: [A-Z]+\d)|type: ignore(?!\[)"
    without_reason = r"(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])\s*$"
    bare = re.compile(rf"#\s*({without_code}|{without_reason})")
    none(
        [
            f"{path.relative_to(ROOT)}:{number}"
            for path in MODULES.values()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if bare.search(line)
        ]
    )


def test_no_field_is_called_timestamp() -> None:
    found = []
    for module in MODULES:
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target).split(".")[-1] == "timestamp":
                found.append(place(module, node))
    none(found)


def test_nothing_is_left_to_do_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    none(
        [
            f"{path.relative_to(ROOT)}:{number}"
            for path in MODULES.values()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if later.search(line)
        ]
    )


def test_every_module_says_what_it_knows() -> None:
    none(
        [
            module
            for module in MODULES
            if ".migrations" not in module and tree_of(module).body and not ast.get_docstring(tree_of(module))
        ]
    )


ASKS_THE_ROW = (
    "archive/catalogue",
    "commands/people.py",
    "custody/founding.py",
    "custody/keyrings.py",
    "custody/reading.py",
)


def test_nothing_is_sealed_to_a_keyring_as_a_row_has_it() -> None:
    for path in sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] in (*ROOMS, *DOORS)):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(ASKS_THE_ROW):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            asked = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            assert not {"vault_keyring", "identity_keyring"} & set(asked), f"{name}: take it from the signed statement"


def test_a_test_that_is_skipped_is_listed_with_its_reason(tmp_path: Path) -> None:
    skipped = "import pytest\n\ndef test_it():\n    pytest.skip('NOT TESTED: no sandbox')\n"
    (tmp_path / "test_it.py").write_text(skipped)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "NOT TESTED: no sandbox" in told
    assert "test_it.py::test_it\n" in told
