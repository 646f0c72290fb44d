"""The stranger's verifier against packets of a second maker: good ones pass, and whatever was changed is named."""

import ast
import copy
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export import packet_verifier as verifier
from tests.export.packet_fixture import (
    ITEMS,
    Authority,
    LogKeys,
    Parts,
    b64,
    consistency,
    make_parts,
    release,
)

SOURCE = Path(verifier.__file__)
LOG, CHECKPOINT, PACKET = "metadata/custody-log.jsonl", "metadata/checkpoint", "metadata/packet.json"
Check = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def pristine() -> Parts:
    return make_parts()


@pytest.fixture
def parts(pristine: Parts) -> Parts:
    return copy.copy(pristine).__class__(
        payload=dict(pristine.payload),
        tags=dict(pristine.tags),
        log=copy.deepcopy(pristine.log),
        keys=pristine.keys,
        items=pristine.items,
    )


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    def run(*arguments: object) -> tuple[int, str]:
        code = verifier.main([str(argument) for argument in arguments])
        return code, capsys.readouterr().out

    return run


def stamped(parts: Parts, authority: Authority, name: str = "tsa-one") -> Parts:
    parts.tags[f"metadata/timestamps/{name}.tsr"] = authority.stamp(parts.tags[CHECKPOINT])
    parts.tags[f"metadata/timestamps/{name}.pem"] = authority.chain_pem
    return parts


def last_line(text: str) -> str:
    return text.rstrip("\n").split("\n")[-1]


# --- What is good passes, anywhere ------------------------------------------------------------------


def test_a_good_packet_matches_under_a_bare_python_that_cannot_see_this_project(parts: Parts, tmp_path: Path) -> None:
    parts.tags["verify.py"] = SOURCE.read_bytes()
    folder = stamped(parts, Authority(tmp_path / "tsa")).write(tmp_path / "packet")
    run = [sys.executable, "-I", "-S", "verify.py"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert last_line(done.stdout).startswith("MATCHES: every exhibit and every entry of packet P-2026-0001")
    assert parts.keys.verifier_keys()[0] in done.stdout
    assert "COMPARE " in done.stdout


@pytest.mark.parametrize("where", ["/dev/full", "&-"], ids=["a full disk", "nowhere"])
def test_a_result_that_cannot_be_written_is_said_and_passes_for_none(parts: Parts, tmp_path: Path, where: str) -> None:
    parts.tags["verify.py"] = SOURCE.read_bytes()
    folder = stamped(parts, Authority(tmp_path / "tsa")).write(tmp_path / "packet")

    def run(more: str) -> subprocess.CompletedProcess[str]:
        line = ["/bin/sh", "-c", f'"$0" -I -S verify.py {more}', sys.executable]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    done = run(f">{where}")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "the result cannot be written to where it was sent" in done.stderr
    silent = run("2>&-")
    assert (silent.returncode, last_line(silent.stdout)[:8]) == (0, "MATCHES:")


def test_run_from_elsewhere_it_checks_the_packet_that_it_lies_in(parts: Parts, tmp_path: Path) -> None:
    parts.tags["verify.py"] = SOURCE.read_bytes()
    folder = stamped(parts, Authority(tmp_path / "tsa")).write(tmp_path / "packet")
    run = [sys.executable, "-I", "-S", str(folder / "verify.py")]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, last_line(done.stdout)[:8]) == (0, "MATCHES:")


def test_it_uses_the_standard_library_alone_and_nothing_that_reaches_a_network_or_starts_a_program() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 8))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in named} <= sys.stdlib_module_names | {"__future__"}
    assert not {name.split(".")[0] for name in named} & {
        "socket",
        "ssl",
        "http",
        "urllib",
        "subprocess",
        "ctypes",
        "ftplib",
    }


def test_a_packet_without_a_time_stamp_cannot_be_told_when_but_everything_else_matches(
    parts: Parts, tmp_path: Path, check: Check
) -> None:
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 3
    assert "CANNOT TELL     time-stamp" in text
    assert last_line(text).startswith("CANNOT TELL when")
    assert "Everything else about packet P-2026-0001 matches." in last_line(text)


def test_programs_read_the_same_findings_as_json(parts: Parts, tmp_path: Path, check: Check) -> None:
    code, text = check(parts.write(tmp_path / "packet"), "--json")
    told = json.loads(text)
    assert (code, told["exit"], told["verdict"]) == (3, 3, "CANNOT TELL")
    assert told["subjects"]["data/exhibits/E-2026-00001.jpg"] == "MATCHES"
    assert told["log"]["keys"][0]["key"] == parts.keys.verifier_keys()[0]
    assert told["exhibits"][0]["received"].startswith("2026-11-01T")


def test_wrong_use_is_told_apart_from_a_wrong_packet(tmp_path: Path, check: Check) -> None:
    assert check(tmp_path / "nowhere")[0] == 2
    assert check(tmp_path, "--log-key", "not a key")[0] == 2
    assert check(tmp_path, "--timestamp-root", tmp_path / "none.pem")[0] == 2
    assert check("--receipt", tmp_path / "none.json")[0] == 2
    code, text = check(tmp_path)
    assert code == 4
    assert "this folder is not a packet" in text


# --- The bytes ------------------------------------------------------------------------------------------


def test_one_flipped_byte_in_any_file_is_refused_and_the_file_is_named(
    parts: Parts, tmp_path: Path, check: Check
) -> None:
    folder = parts.write(tmp_path / "packet")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        flip(path, content, len(content) // 2)
        code, text = check(folder)
        assert code == 4, name
        assert name in text, name
        path.write_bytes(content)


def test_no_single_flipped_byte_or_bit_of_a_manifest_passes(parts: Parts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "packet")
    for path in sorted(folder.glob("*manifest-sha256.txt")):
        content = path.read_bytes()
        for at in range(0, len(content), 23):
            flip(path, content, at, mask=0x20 if at % 2 else 0x01)
            report = verifier.Report()
            verifier.check_bag(verifier.Folder(folder), report, strict=True)
            assert report.verdict == verifier.DIFFERS
        path.write_bytes(content)


@pytest.mark.long
def test_no_flipped_byte_at_200_places_of_each_file_passes(parts: Parts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "packet")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for at in range(0, len(content), 1 + len(content) // 200):
            flip(path, content, at)
            report = verifier.Report()
            verifier.check_bag(verifier.Folder(folder), report, strict=True)
            assert path.relative_to(folder).as_posix() in " ".join(
                " ".join(f[1:3]) for f in report.of(verifier.DIFFERS)
            )
        path.write_bytes(content)


def flip(path: Path, content: bytes, at: int, mask: int = 0xFF) -> None:
    path.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])


@pytest.mark.parametrize(
    "name", ["data/exhibits/E-2026-00001.jpg", LOG, CHECKPOINT, "verify.txt", "manifest-sha256.txt"]
)
def test_a_file_cut_short_or_taken_away_is_named(parts: Parts, tmp_path: Path, check: Check, name: str) -> None:
    folder = parts.write(tmp_path / "packet")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    code, text = check(folder)
    assert (code, name in text) == (4, True)
    (folder / name).unlink()
    code, text = check(folder)
    assert (code, name in text) == (4, True)


@pytest.mark.parametrize(
    "name", ["data/extra.jpg", "data/exhibits/.DS_Store", "extra.txt", "metadata/extra", "fetch.txt"]
)
def test_a_file_that_nothing_lists_is_refused_wherever_it_lies(
    parts: Parts, tmp_path: Path, check: Check, name: str
) -> None:
    folder = parts.write(tmp_path / "packet")
    (folder / name).write_bytes(b"")
    code, text = check(folder)
    assert (code, text.startswith(f"DOES NOT MATCH  {name}")) == (4, True)


def test_links_pipes_and_hostile_names_are_never_opened_nor_shown_raw(
    parts: Parts, tmp_path: Path, check: Check
) -> None:
    folder = parts.write(tmp_path / "packet")
    secret = tmp_path / "outside"
    secret.write_bytes((folder / "verify.txt").read_bytes())
    (folder / "verify.txt").unlink()
    (folder / "verify.txt").symlink_to(secret)
    (folder / "data" / "way-out").symlink_to("/")
    os.mkfifo(folder / "data" / "pipe")
    (folder / "data" / "\x1b[31m\u202egpj.exe").write_bytes(b"")
    (folder / os.fsdecode(b"data/\xff\xfe")).write_bytes(b"")
    code, text = check(folder)
    assert code == 4
    assert "not followed" in text
    assert "not opened" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<U+202E>" in text


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "~/x", "data/../../x", "data\\x", "C:/x", "data//x", "data/./x", "./data/x"]
)
def test_paths_that_lead_out_of_the_packet_are_refused_and_not_followed(
    parts: Parts, tmp_path: Path, check: Check, path: str
) -> None:
    folder = parts.write(tmp_path / "packet")
    listing = folder / "manifest-sha256.txt"
    listing.write_bytes(listing.read_bytes() + f"{hashlib.sha256(b'').hexdigest()}  {path}\n".encode())
    code, text = check(folder)
    assert code == 4
    assert "manifest-sha256.txt" in text


def test_two_names_that_some_computers_take_for_one_are_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    parts.payload["data/INDEX.csv"] = b"another"
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "take for the same" in text


# --- The log, changed by someone who writes every manifest anew --------------------------------------------


def test_a_line_left_out_is_named_whichever_it_is(parts: Parts, tmp_path: Path, check: Check) -> None:
    lines, folder = parts.lines(), tmp_path / "packet"
    named = parts.log.naming(parts.items)
    for place, seq in enumerate(named):
        kept = dict(parts.tags)
        parts.set_lines(lines[:place] + lines[place + 1 :])
        del parts.tags[f"metadata/proofs/{seq}.tlog-proof"]
        code, text = check(parts.write(folder))
        (folder / f"metadata/proofs/{seq}.tlog-proof").unlink(missing_ok=True)
        assert code == 4
        for number, item in enumerate(ITEMS[:2], start=1):
            if item in parts.log.opened[seq]:
                run = [n for n in named if item in parts.log.opened[n]].index(seq) + 1
                gap = f"entry number {run} of its log is missing"
                assert gap in text or (seq == named[-1] and "is missing" in text), (number, text)
        parts.tags.clear()
        parts.tags.update(kept)


@pytest.mark.long
def test_each_of_a_hundred_left_out_lines_is_named(tmp_path: Path) -> None:
    parts = make_parts(accesses=60)
    lines = parts.lines()
    for place in range(100):
        parts.set_lines(lines[:place] + lines[place + 1 :])
        report = verifier.verify_packet(parts.write(tmp_path / "packet"), verifier.Options())
        assert report.verdict == verifier.DIFFERS
        assert any("is missing" in finding.words for finding in report.of(verifier.DIFFERS))


def test_in_a_log_of_500_lines_the_first_changed_line_is_named(tmp_path: Path, check: Check) -> None:
    parts = make_parts(accesses=248)
    lines, folder = parts.lines(), tmp_path / "packet"
    assert len(lines) == 500
    for changed in (
        [*lines[:99], lines[99].replace(b'\\"event\\":\\"access', b'\\"event\\":\\"unlock'), *lines[100:]],
        [*lines[:98], lines[99], lines[98], *lines[100:]],
    ):
        parts.set_lines(changed)
        code, text = check(parts.write(folder))
        assert code == 4
        assert f"{LOG}" in text
        assert "line 100 " in text


def test_an_opened_value_that_was_changed_is_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    lines = parts.lines()
    first = json.loads(lines[0])
    other = json.loads(lines[1])
    first["disclosures"][0] = other["disclosures"][0]
    parts.set_lines([json.dumps(first, separators=(",", ":")).encode() + b"\n", *lines[1:]])
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "line 1 opens a value that the entry did not commit to" in text


def test_a_line_about_another_item_is_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    parts.items = ITEMS
    parts.prove()
    parts.set_lines([parts.log.line(seq, ITEMS) for seq in parts.log.naming(ITEMS)][:-1])
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "opens a value of an item that is not in this packet" in text


def test_swapped_exhibits_are_refused_even_with_every_list_made_anew(
    parts: Parts, tmp_path: Path, check: Check
) -> None:
    one, two = "data/exhibits/E-2026-00001.jpg", "data/exhibits/E-2026-00002.pdf"
    parts.payload[one], parts.payload[two] = parts.payload[two], parts.payload[one]
    packet = json.loads(parts.tags[PACKET])
    for key in ("sha256", "size"):
        packet["items"][0][key], packet["items"][1][key] = packet["items"][1][key], packet["items"][0][key]
    parts.tags[PACKET] = json.dumps(packet, sort_keys=True, separators=(",", ":")).encode()
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert text.count("is not the file that was received") == 2
    assert "the log released another payload" in text


def test_an_exhibit_or_a_file_that_was_not_released_is_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    parts.payload["data/exhibits/E-2026-00003.jpg"] = b"slipped in"
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "stands among the exhibits" in text
    assert "the log released another payload" in text


@pytest.mark.parametrize(
    "name", ["affidavit.html", "metadata/court-order.txt", "metadata/timestamps/note.txt", "metadata/proofs/1/note.txt"]
)
def test_a_file_slipped_in_beside_the_payload_is_refused_though_every_list_names_it(
    parts: Parts, tmp_path: Path, check: Check, name: str
) -> None:
    parts.tags[name] = b"The archive certifies what it never said."
    code, text = check(parts.write(tmp_path / "packet"))
    assert (code, text.startswith(f"DOES NOT MATCH  {name}")) == (4, True)


@pytest.mark.parametrize(
    ("member", "value"), [("packet", "P-2026-0009"), ("type", "press"), ("release", 3), ("origin", "other.example/log")]
)
def test_a_packet_that_calls_itself_something_else_is_refused(
    parts: Parts, tmp_path: Path, check: Check, member: str, value: object
) -> None:
    packet = json.loads(parts.tags[PACKET]) | {member: value}
    parts.tags[PACKET] = json.dumps(packet, sort_keys=True, separators=(",", ":")).encode()
    assert check(parts.write(tmp_path / "packet"))[0] == 4


def test_a_release_of_one_packet_does_not_serve_for_another(parts: Parts, tmp_path: Path, check: Check) -> None:
    seq = release(parts.log, parts.items, parts.payload, number="P-2026-0002")
    parts.prove()
    parts.set_lines([parts.log.line(n, parts.items) for n in parts.log.naming(parts.items)])
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "goes on after the entry that releases it" in text
    packet = json.loads(parts.tags[PACKET]) | {"release": seq}
    parts.tags[PACKET] = json.dumps(packet, sort_keys=True, separators=(",", ":")).encode()
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "releases another packet than this one" in text


# --- The checkpoint -------------------------------------------------------------------------------------------


def test_a_checkpoint_by_a_stranger_is_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    listed = parts.tags["metadata/verifier-keys"]
    parts.prove(LogKeys().checkpoint(parts.log.hashes()))
    parts.tags["metadata/verifier-keys"] = listed
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "is not signed by any of the log keys" in text


def test_the_published_key_tells_a_forged_log_from_the_archives(parts: Parts, tmp_path: Path, check: Check) -> None:
    published = parts.keys.verifier_keys()[0]
    assert check(parts.write(tmp_path / "genuine"), "--log-key", published)[0] == 3
    parts.keys = LogKeys()
    parts.prove()
    forged = parts.write(tmp_path / "forged")
    assert check(forged)[0] == 3
    code, text = check(forged, "--log-key", published)
    assert code == 4
    assert text.startswith(f"DOES NOT MATCH  {CHECKPOINT}")


def test_a_checkpoint_without_its_second_signature_is_refused(parts: Parts, tmp_path: Path, check: Check) -> None:
    note = parts.tags[CHECKPOINT].splitlines(keepends=True)
    parts.prove(b"".join(note[:-1]))
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "lacks the ML-DSA-44 signature" in text


def test_an_older_checkpoint_shows_that_nothing_was_changed_since(parts: Parts, tmp_path: Path, check: Check) -> None:
    folder, hashes = parts.write(tmp_path / "packet"), parts.log.hashes()
    older, proof = tmp_path / "older", tmp_path / "proof"
    older.write_bytes(parts.keys.checkpoint(hashes[:5]))
    proof.write_text("".join(f"{b64(digest)}\n" for digest in consistency(5, hashes)))
    code, text = check(folder, "--older-checkpoint", older, "--consistency", proof)
    assert code == 3
    assert "none was changed in between" in text
    code, text = check(folder, "--older-checkpoint", older)
    assert (code, "ask the archive for the consistency proof" in text) == (3, True)
    older.write_bytes(parts.keys.checkpoint([*hashes[:4], hashes[0]]))
    code, text = check(folder, "--older-checkpoint", older, "--consistency", proof)
    assert (code, text.startswith("DOES NOT MATCH  your older checkpoint")) == (4, True)


# --- Packets made to confuse ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [LOG, CHECKPOINT, PACKET, "metadata/verifier-keys", "metadata/proofs/1.tlog-proof"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"[" * 200_000 + b"\n",
        b"1" * 5000 + b"\n",
        b'{"v":NaN}\n',
        b'{"v":1,"v":1}\n',
        b"null\n",
    ],
    ids=["empty", "line", "binary", "deep", "digits", "nan", "twice", "null"],
)
def test_nonsense_in_any_place_gives_a_finding_and_no_traceback(
    parts: Parts, tmp_path: Path, check: Check, name: str, content: bytes
) -> None:
    parts.tags[name] = content
    code, text = check(parts.write(tmp_path / "packet"))
    assert code == 4
    assert "not written for" not in text


def test_a_long_line_of_blanks_does_not_hold_the_check_up(parts: Parts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "packet")
    with (folder / "bag-info.txt").open("a") as info:
        info.write("Payload-Oxum: 1" + " " * 900_000 + "2\n")
    done = subprocess.run([sys.executable, "-I", SOURCE, folder], capture_output=True, timeout=30, check=False)
    assert done.returncode == 4


def test_what_no_check_was_written_for_hides_nothing_that_was_found(
    parts: Parts, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("tsr", "pem"):
        parts.tags[f"metadata/timestamps/one.{end}"] = b""

    def stumble(*_: object) -> None:
        raise IndexError

    folder = parts.write(tmp_path / "packet")
    (folder / "data/exhibits/E-2026-00001.jpg").write_bytes(b"changed")
    for function in ("check_checkpoint", "check_log", "check_fixity", "verify_under"):
        with monkeypatch.context() as patch:
            patch.setattr(verifier, function, stumble)
            code, text = check(folder)
        assert (code, text.startswith("DOES NOT MATCH  data/exhibits/E-2026-00001.jpg")) == (4, True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([LOG, PACKET, "metadata/verifier-keys", "metadata/proofs/1.tlog-proof"]),
    at=st.floats(min_value=0, max_value=0.999),
    new=st.binary(max_size=3),
    cut=st.integers(min_value=0, max_value=3),
)
def test_any_small_change_to_what_the_log_says_is_judged_and_never_passes(
    pristine: Parts, tmp_path: Path, name: str, at: float, new: bytes, cut: int
) -> None:
    changed = copy.copy(pristine)
    content = pristine.tags[name]
    start = int(at * len(content))
    changed.tags = {**pristine.tags, name: content[:start] + new + content[start + cut :]}
    report = verifier.verify_packet(changed.write(tmp_path / "packet"), verifier.Options())
    assert changed.tags[name] == content or report.verdict == verifier.DIFFERS
    assert not any("not written for" in finding.words for finding in report.findings)
