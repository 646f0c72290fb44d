"""Time-stamps come when authorities answer: waited for, retried, checked, kept with their chain, and never doubled."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from archive.catalogue.models import TimestampTokenRow
from archive.jobs import MOST_TRIES, Job, JobKind, JobState
from custody.stamping import Stamping
from custody.timestamps import verify_token
from tests.archives import SmallArchive
from tests.custody.token_checks import openssl_accepts
from tests.running_authority import Behaviour, RunningAuthority, StartAuthority

pytest_plugins = ("tests.authority_fixture",)

Told = list[tuple[JobState, str]]


@pytest.fixture
def first(start_authority: StartAuthority) -> RunningAuthority:
    return start_authority("first")


@pytest.fixture
def second(start_authority: StartAuthority) -> RunningAuthority:
    return start_authority("second")


@pytest.fixture
def archive(tmp_path: Path, first: RunningAuthority, second: RunningAuthority) -> Iterator[SmallArchive]:
    """An archive that names two authorities and has asked neither yet."""
    named = "".join(
        f'[[custody.authorities]]\nname = "{each.name}"\nurl = "{each.url}"\nroots = ["{each.root}"]\ntimeout_s = 2\n'
        for each in (first, second)
    )
    with SmallArchive(tmp_path / "archive", settings=named) as archive:
        yield archive


def _work(archive: SmallArchive) -> Told:
    told: Told = []

    def watch(_job: Job, state: JobState, words: str) -> None:
        told.append((state, words))

    archive.rooms.workers.stamping.work(watch)
    return told


def _tokens(archive: SmallArchive) -> dict[tuple[int, str], TimestampTokenRow]:
    with archive.rooms.database.reading() as session:
        rows = session.execute(select(TimestampTokenRow)).scalars().all()
        session.expunge_all()
    return {(row.size, row.authority): row for row in rows}


def test_every_authority_attests_the_newest_checkpoint_and_openssl_agrees(
    archive: SmallArchive, first: RunningAuthority, second: RunningAuthority
) -> None:
    assert [state for state, _ in _work(archive)] == [JobState.DONE, JobState.DONE]
    size = archive.rooms.ledger.size()
    note = archive.rooms.publisher.newest()
    assert note is not None
    tokens = _tokens(archive)
    assert set(tokens) == {(size, "first"), (size, "second")}
    for authority in (first, second):
        row = tokens[size, authority.name]
        kept = archive.rooms.store.read(f"log/timestamps/{size:012}/{authority.name}.tsr")
        assert kept == row.token
        assert archive.rooms.store.read(f"log/timestamps/{size:012}/{authority.name}.pem") == row.chain
        verified = verify_token(kept, note, (authority.root.read_bytes(),), request_nonce=None)
        assert verified.gen_time == row.attested_time
        assert openssl_accepts(kept, note, authority.root, row.chain)
    assert _work(archive) == []


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.DOWN, Behaviour.WRONG_REPLY, Behaviour.OTHER_REQUEST, Behaviour.REJECTS, Behaviour.LOGIN_PAGE],
)
def test_an_authority_that_fails_is_asked_again_and_does_not_hold_up_the_other(
    archive: SmallArchive, first: RunningAuthority, behaviour: Behaviour
) -> None:
    first.behaviour = behaviour
    assert sorted(state for state, _ in _work(archive)) == [JobState.DONE, JobState.NEW]
    assert {authority for _, authority in _tokens(archive)} == {"second"}
    (waiting,) = archive.rooms.jobs.list([JobState.NEW])
    assert waiting.subject.endswith("/first")
    assert waiting.reason
    assert str(first.url) not in waiting.reason
    assert _work(archive) == [], "it was asked again before its pause was over"
    first.behaviour = Behaviour.ANSWERS
    archive.clock.move(timedelta(seconds=30))
    assert [state for state, _ in _work(archive)] == [JobState.DONE]
    assert {authority for _, authority in _tokens(archive)} == {"first", "second"}


def test_only_the_newest_checkpoint_is_asked_for_because_it_attests_the_older_ones(
    archive: SmallArchive, first: RunningAuthority
) -> None:
    for number in range(3):
        archive.incident(f"incident {number}")
        archive.publish()
    told = _work(archive)
    assert [words for _, words in told].count("covered by a newer checkpoint") == 6
    assert {size for size, _ in _tokens(archive)} == {archive.rooms.ledger.size()}
    assert first.requests == 1


def test_a_tried_job_ends_with_its_reason_and_stays_in_sight(archive: SmallArchive, first: RunningAuthority) -> None:
    first.behaviour = Behaviour.DOWN
    told = _work(archive)
    for _ in range(MOST_TRIES[JobKind.TIMESTAMP]):
        archive.clock.move(timedelta(hours=12))
        told += _work(archive)
    assert told[-1][0] is JobState.FAILED
    (failed,) = archive.rooms.jobs.list([JobState.FAILED])
    assert failed.tries == MOST_TRIES[JobKind.TIMESTAMP]
    assert failed.reason
    first.behaviour = Behaviour.ANSWERS
    archive.rooms.jobs.hurry()
    assert [state for state, _ in _work(archive)] == [JobState.DONE]


def test_an_authority_that_is_no_longer_named_ends_its_jobs_with_that_reason(archive: SmallArchive) -> None:
    rooms = archive.rooms
    rooms.stamping = Stamping(database=rooms.database, store=rooms.store, jobs=rooms.jobs, authorities=(), unusable={})
    told = _work(archive)
    assert told == [(JobState.FAILED, "the settings no longer name this authority")] * 2


@pytest.mark.parametrize("subject", ["999999/first", "no number/first", "/first", "-1/first"])
def test_poisoned_work_ends_with_a_reason_and_the_rest_is_done(archive: SmallArchive, subject: str) -> None:
    with archive.rooms.database.writing() as session:
        session.execute(text("UPDATE job SET subject = :subject WHERE id = 1"), {"subject": subject})
    told = _work(archive)
    assert (JobState.FAILED, "there is no such checkpoint here") in told
    assert len(_tokens(archive)) == 1


def test_a_job_done_twice_keeps_the_first_token_in_store_and_catalogue(
    archive: SmallArchive, first: RunningAuthority, second: RunningAuthority
) -> None:
    """A worker that was stopped for longer than its lease comes back and finds its work done."""
    _work(archive)
    before = _tokens(archive)
    with archive.rooms.database.writing() as session:
        session.execute(text("UPDATE job SET state = 'new'"))
    assert [state for state, _ in _work(archive)] == [JobState.DONE, JobState.DONE]
    assert (first.requests, second.requests) == (2, 2)
    for key, row in _tokens(archive).items():
        assert row.token == before[key].token
        assert archive.rooms.store.read(f"log/timestamps/{key[0]:012}/{key[1]}.tsr") == row.token


def test_a_crash_between_files_and_row_is_mended_by_the_next_try(archive: SmallArchive) -> None:
    size = archive.rooms.ledger.size()
    archive.rooms.store.put(f"log/timestamps/{size:012}/first.tsr", b"of a try that was killed")
    _work(archive)
    row = _tokens(archive)[size, "first"]
    assert archive.rooms.store.read(f"log/timestamps/{size:012}/first.tsr") == row.token


def test_until_a_token_is_there_it_is_pending_and_said_so(archive: SmallArchive, first: RunningAuthority) -> None:
    first.behaviour = Behaviour.DOWN
    _work(archive)
    waiting = archive.rooms.jobs.list([JobState.NEW])
    assert [job.subject.partition("/")[2] for job in waiting] == ["first"]
    assert [authority for _, authority in _tokens(archive)] == ["second"]
