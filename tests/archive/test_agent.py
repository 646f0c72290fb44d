"""The key agent: what it gives out and to whom, how it ends, and what can be seen of it from outside."""

import json
import os
import resource
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from archive.age.agent import AgentClient, AgentStatus, start_agent
from archive.age.agent_process import Guard
from archive.age.agent_wire import socket_address
from archive.age.keyring import seal_identity
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.errors import AccessError, ConfigError, ConflictError, LockedError, TestigoError

_NOBODY = 65534
_OFFICE = generate_identity(KeyKind.X25519)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class _Key:
    owner_id: UUID
    identity: KeyIdentity
    sealed: bytes


def _key(office: KeyIdentity = _OFFICE) -> _Key:
    identity = generate_identity(office.kind)
    return _Key(owner_id=uuid4(), identity=identity, sealed=seal_identity(identity, (office.recipient,)))


@pytest.fixture
def socket_path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run" / "agent.sock"
    yield path
    AgentClient(path).lock()


def _start(
    path: Path, *keys: _Key, office: KeyIdentity = _OFFICE, lifetime_s: float = 60, entry: int = 7
) -> AgentStatus:
    owners = {key.owner_id: str(key.identity.recipient) for key in keys}
    return start_agent(
        path,
        office,
        lifetime_s=lifetime_s,
        permit=lambda number, owner_id: number == entry and owner_id in owners,
        owns=lambda owner, key: owners.get(owner) == str(key.recipient),
        clock=_now,
    )


def _gone(pid: int) -> bool:
    """Wait until a process has ended; the system may take its time over clearing it from the table."""
    for _ in range(200):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return True
        if stat.rpartition(") ")[2].startswith("Z"):
            return True
        time.sleep(0.02)
    return False


def _connect(connection: socket.socket, path: Path) -> None:
    with socket_address(path) as address:
        connection.connect(address)


@pytest.mark.parametrize("kind", KeyKind)
def test_the_agent_opens_an_owner_key_for_the_entry_that_permits_it(socket_path: Path, kind: KeyKind) -> None:
    office = generate_identity(kind)
    key = _key(office)
    status = _start(socket_path, key, office=office)
    client = AgentClient(socket_path)
    opened = client.unwrap(key.owner_id, key.sealed, 7)
    assert opened.secret_text() == key.identity.secret_text()
    running = client.status()
    assert running is not None
    assert (running.pid, running.recipient, running.given) == (status.pid, str(office.recipient), 1)
    assert running.until - running.since == timedelta(seconds=60)


def test_the_agent_refuses_an_entry_that_does_not_permit(socket_path: Path) -> None:
    key, other = _key(), _key()
    _start(socket_path, key)
    client = AgentClient(socket_path)
    for owner_id, sealed, entry in ((key.owner_id, key.sealed, 8), (other.owner_id, other.sealed, 7)):
        with pytest.raises(AccessError) as refused:
            client.unwrap(owner_id, sealed, entry)
        assert refused.value.code == "keys/not-permitted"
    status = client.status()
    assert status is not None
    assert status.given == 0


def test_another_owners_key_file_is_not_opened_under_a_permitted_name(socket_path: Path) -> None:
    permitted, other = _key(), _key()
    _start(socket_path, permitted, other)
    with pytest.raises(AccessError) as refused:
        AgentClient(socket_path).unwrap(permitted.owner_id, other.sealed, 7)
    assert refused.value.code == "keys/not-permitted"


def test_keys_are_given_all_together_or_not_at_all(socket_path: Path) -> None:
    keys = [_key() for _ in range(300)]
    stranger = _key()
    _start(socket_path, *keys)
    client = AgentClient(socket_path)
    opened = client.unwrap_many([(key.owner_id, key.sealed) for key in keys], 7)
    assert {owner_id: identity.secret_text() for owner_id, identity in opened.items()} == {
        key.owner_id: key.identity.secret_text() for key in keys
    }
    with pytest.raises(AccessError):
        client.unwrap_many([(key.owner_id, key.sealed) for key in (keys[0], stranger)], 7)
    assert client.unwrap_many([], 7) == {}


def test_a_key_file_for_another_office_stays_closed(socket_path: Path) -> None:
    key = _key(generate_identity(KeyKind.X25519))
    _start(socket_path, key)
    with pytest.raises(LockedError) as refused:
        AgentClient(socket_path).unwrap(key.owner_id, key.sealed, 7)
    assert refused.value.code == "keys/no-identity-matches"


def test_without_an_agent_the_archive_is_locked(tmp_path: Path) -> None:
    for path in (tmp_path / "agent.sock", tmp_path / "no" / "folder" / "agent.sock"):
        client = AgentClient(path)
        assert client.status() is None
        client.lock()
        with pytest.raises(LockedError) as refused:
            client.unwrap(uuid4(), b"", 1)
        assert refused.value.code == "archive/locked"
        assert "testigo unlock" in refused.value.message


def test_lock_ends_the_agent_before_it_returns(socket_path: Path) -> None:
    status = _start(socket_path)
    client = AgentClient(socket_path)
    client.lock()
    assert not socket_path.exists()
    assert client.status() is None
    assert _gone(status.pid)
    _start(socket_path)


def test_the_agent_ends_by_itself_when_its_time_is_over(socket_path: Path) -> None:
    status = _start(socket_path, lifetime_s=0.3)
    assert AgentClient(socket_path).status() is not None
    assert _gone(status.pid)
    assert not socket_path.exists()
    assert AgentClient(socket_path).status() is None


def test_the_agent_ends_when_the_clock_says_so(socket_path: Path, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("2026-01-01T00:00:00+00:00")
    status = start_agent(
        socket_path,
        _OFFICE,
        lifetime_s=60,
        permit=lambda *_: True,
        owns=lambda *_: False,
        clock=lambda: datetime.fromisoformat(clock.read_text()),
    )
    later = tmp_path / "later"
    later.write_text("2026-01-01T00:01:00+00:00")
    later.rename(clock)
    assert AgentClient(socket_path).status() is None
    assert _gone(status.pid)


def test_the_agent_ends_when_it_is_told_to(socket_path: Path) -> None:
    status = _start(socket_path)
    os.kill(status.pid, signal.SIGTERM)
    assert _gone(status.pid)
    assert not socket_path.exists()


def test_a_socket_left_by_a_killed_agent_counts_as_locked_and_is_taken_over(socket_path: Path) -> None:
    status = _start(socket_path)
    os.kill(status.pid, signal.SIGKILL)
    assert _gone(status.pid)
    assert socket_path.exists()
    assert AgentClient(socket_path).status() is None
    assert _start(socket_path).pid != status.pid
    assert AgentClient(socket_path).status() is not None


def test_a_second_agent_is_refused_and_the_first_goes_on(socket_path: Path) -> None:
    key = _key()
    status = _start(socket_path, key)
    with pytest.raises(ConflictError) as refused:
        _start(socket_path)
    assert refused.value.code == "keys/agent-running"
    running = AgentClient(socket_path).status()
    assert running is not None
    assert running.pid == status.pid
    AgentClient(socket_path).unwrap(key.owner_id, key.sealed, 7)


def test_the_socket_and_its_folder_are_for_their_system_user_alone(socket_path: Path) -> None:
    _start(socket_path)
    assert socket_path.stat().st_mode & 0o777 == 0o600
    assert socket_path.parent.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_is_refused(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    socket_path.parent.chmod(0o755)
    with pytest.raises(ConfigError) as refused:
        _start(socket_path)
    assert refused.value.code == "keys/agent-folder-open"


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30) / ("folder" * 20) / "agent.sock"
    _start(path)
    assert AgentClient(path).status() is not None
    AgentClient(path).lock()


def _as_nobody(folder: Path, name: str) -> str:
    """Ask the agent for its status as another system user, from inside its folder; return what came back."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "died"
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(name)
                with suppress(BrokenPipeError):  # The refusal may come first.
                    connection.sendall(b'{"do":"status"}\n')
                answer = connection.recv(1 << 16).decode()
        except OSError as error:
            answer = type(error).__name__
        finally:
            os.write(told, answer.encode())
            os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    with os.fdopen(heard) as pipe:
        return pipe.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another system user")
def test_another_system_user_is_refused_by_the_socket_and_then_by_the_agent(socket_path: Path) -> None:
    _start(socket_path)
    assert _as_nobody(socket_path.parent, socket_path.name) == "PermissionError"
    socket_path.parent.chmod(0o755)
    socket_path.chmod(0o666)
    answer = json.loads(_as_nobody(socket_path.parent, socket_path.name))
    assert answer["error"]["code"] == "keys/another-user"
    socket_path.parent.chmod(0o700)
    assert AgentClient(socket_path).status() is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another system user")
def test_no_other_process_of_the_same_user_can_look_into_the_agent(tmp_path: Path) -> None:
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "died"
        try:
            folder = tmp_path / "nobody"
            folder.mkdir()
            os.chown(folder, _NOBODY, _NOBODY)
            os.chdir(folder)
            # Each test worker has a folder of its own below the runs' folder, which is closed to other users.
            for part in (tmp_path, *tmp_path.parents[:3]):
                if part != Path(tempfile.gettempdir()) and part.parent != part:
                    part.chmod(0o755)
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            path = folder / "run" / "agent.sock"
            status = _start(path)
            try:
                Path(f"/proc/{status.pid}/mem").open("rb").close()
                answer = "open"
            except PermissionError:
                answer = "closed"
            AgentClient(path).lock()
        finally:
            os.write(told, answer.encode())
            os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    with os.fdopen(heard) as pipe:
        assert pipe.read() == "closed"


def test_nothing_secret_shows_in_the_process_table_and_no_core_can_be_dumped(socket_path: Path) -> None:
    status = _start(socket_path)
    shown = b"".join(Path(f"/proc/{status.pid}/{name}").read_bytes() for name in ("cmdline", "environ", "comm"))
    assert _OFFICE.secret_text().encode() not in shown
    assert resource.prlimit(status.pid, resource.RLIMIT_CORE) == (0, 0)
    if status.memory_locked:
        locked = [line for line in Path(f"/proc/{status.pid}/status").read_text().splitlines() if "VmLck" in line]
        assert int(locked[0].split()[1]) > 0


def test_the_agent_keeps_nothing_of_its_starter_open(socket_path: Path, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w"):
        status = _start(socket_path)
        kept = [os.readlink(entry) for entry in Path(f"/proc/{status.pid}/fd").iterdir()]  # noqa: PTH115, not a path
    assert str(tmp_path / "open") not in kept
    assert Path(f"/proc/{status.pid}/cwd").resolve() == Path("/")
    assert os.getsid(status.pid) != os.getsid(0)


def test_no_secret_stands_in_a_repr() -> None:
    guard = Guard(identity=_OFFICE, permit=lambda *_: False, owns=lambda *_: False)
    assert _OFFICE.secret_text() not in repr(guard)
    assert "AGE-SECRET" not in repr(guard)


def test_many_clients_are_answered_at_once(socket_path: Path) -> None:
    keys = [_key() for _ in range(40)]
    _start(socket_path, *keys)
    client = AgentClient(socket_path)
    with socket.socket(socket.AF_UNIX) as idle, ThreadPoolExecutor(max_workers=16) as pool:
        _connect(idle, socket_path)
        opened = list(pool.map(lambda key: client.unwrap(key.owner_id, key.sealed, 7).secret_text(), keys))
    assert opened == [key.identity.secret_text() for key in keys]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"do":"unlock"}\n',
        b'{"do":"status","more":1}\n',
        b'{"do":"unwrap","keys":[{"owner":"x","sealed":""}],"entry":7}\n',
        b'{"do":"unwrap","keys":[{"owner":"x"}],"entry":7}\n',
        b'{"do":"unwrap","keys":{},"entry":7}\n',
        b'{"do":"unwrap","keys":[],"entry":"7"}\n',
    ],
)
def test_a_line_that_is_no_request_is_refused_and_the_agent_goes_on(socket_path: Path, line: bytes) -> None:
    _start(socket_path)
    with socket.socket(socket.AF_UNIX) as connection:
        _connect(connection, socket_path)
        connection.sendall(line)
        answer = json.loads(connection.recv(1 << 16))
    assert answer["error"]["code"] == "keys/agent-bad-line"
    assert AgentClient(socket_path).status() is not None


def test_a_damaged_key_file_is_told_from_a_closed_one(socket_path: Path) -> None:
    key = _key()
    _start(socket_path, key)
    damaged = key.sealed[:-1] + bytes([key.sealed[-1] ^ 1])
    with pytest.raises(TestigoError) as refused:
        AgentClient(socket_path).unwrap(key.owner_id, damaged, 7)
    assert refused.value.code == "age/chunk-failed"
