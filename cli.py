"""The technician's door, and the only place where rooms are put together and the clock is read.

What it knows: where an archive's parts lie below its home, which settings go to which room, and the one table of exit
codes. Commands live in `commands/` and are loaded when they are asked for, so that `--help` stays quick.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from archive import errors
from commands.account import os_user
from commands.group import LazyGroup

if TYPE_CHECKING:
    from archive.age.agent import AgentClient
    from archive.catalogue.database import Database
    from archive.jobs import JobQueue
    from archive.keyfiles import KeyFiles
    from archive.places import Places
    from archive.settings import Settings
    from archive.store.directory import DirectoryStore
    from archive.types import Actor
    from archive.vault import Vault
    from commands.background import Workers
    from custody.acts import Acts
    from custody.audit import Audit
    from custody.ledger import Ledger
    from custody.publication import Publisher
    from custody.reading import ReadingRoom
    from custody.register import Register
    from custody.signed_note import SigningKey, VerifierKey
    from custody.stamping import Stamping
    from custody.timestamps import Authority
    from export.disclosure import Disclosure
    from ingest.batch import BatchImport
    from ingest.intake import Intake
    from media.policy import Policy
    from media.workbench import Workbench

EXIT_CODES: dict[type[errors.TestigoError], int] = {
    errors.ConfigError: 2,
    errors.InputError: 1,
    errors.NotFoundError: 5,
    errors.AccessError: 6,
    errors.DisclosureError: 7,
    errors.ConflictError: 8,
    errors.LockedError: 12,
    errors.UnavailableError: 9,
    errors.IntegrityError: 4,
}
EXIT_BY_CODE = {"archive/no-archive": 10, "archive/not-initialised": 10} | dict.fromkeys(
    ("archive/held", "keys/agent-running", "keys/rotation-running"), 11
)
DONE_IN_PART = 3
INTERRUPTED = 130


def utc_now() -> datetime:
    """Read the clock; nothing else in Testigo does."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Asked:
    """The options that every command has."""

    home: Path
    config: Path | None
    json: bool
    quiet: bool
    yes: bool
    dry_run: bool
    explain: bool
    verbose: bool = False


class Rooms:
    """The rooms of one archive, each built when it is first needed; `at` says where, while it is being set up."""

    def __init__(self, asked: Asked, *, at: "Places | None" = None) -> None:
        self.asked = asked
        self.home = at.home if at is not None else asked.home
        self._at = at
        self._settings_file = asked.config or asked.home / "config.toml"
        self.catalogue_path = self.home / "catalogue.sqlite"
        self.signing_keys_path = self.home / "secrets" / "log-signing-keys"
        self.run_folder = self.home / "run"
        self.log_lock = self.run_folder / "log.lock"
        self.uploads_folder = self.home / "uploads"  # Where unfinished uploads wait, sealed: beside store and keys.
        self.clock = utc_now
        self.new_id = uuid4

    @cached_property
    def settings(self) -> "Settings":
        from archive.settings import load_settings

        if self.asked.config is not None and not self.asked.config.is_file():
            raise errors.ConfigError("config/unreadable", "There is no settings file at the path given by --config.")
        return load_settings(self._settings_file)

    @cached_property
    def places(self) -> "Places":
        from archive.places import Places

        return self._at or Places.of(self.home, self.settings, self._settings_file)

    @cached_property
    def database(self) -> "Database":
        from archive.catalogue.database import Database

        self.places.refuse_none()
        with suppress(OSError):  # Where nothing can be written there is also nothing to lock.
            self.run_folder.mkdir(mode=0o700, exist_ok=True)  # Nothing lasting lies in it, so no backup holds it.
        database = Database(self.catalogue_path)
        database.migrate()
        return database

    @cached_property
    def catalogue_as_it_lies(self) -> "Database":
        """The catalogue even where its guards are gone; for the audit alone, which says so."""
        from archive.catalogue.database import Database

        try:
            return self.database
        except errors.IntegrityError:
            return Database(self.catalogue_path)

    @cached_property
    def store(self) -> "DirectoryStore":
        from archive.store.directory import DirectoryStore

        if not (self.places.store / "log").is_dir():
            self._refuse_absent("store")
        return DirectoryStore(self.places.store)

    @cached_property
    def key_files(self) -> "KeyFiles":
        from archive.keyfiles import KeyFiles

        return KeyFiles(self.places.keys, work_factor=self.settings.keys.scrypt_work_factor)

    @property
    def present_key_files(self) -> "KeyFiles":
        """The key files, for whoever adds to them: never beside those of a disk that is not mounted."""
        if self.key_files.generation() is None:
            self.key_files.refuse_without_generation()
            self._refuse_absent("key files")
        return self.key_files

    def _refuse_absent(self, what: str) -> None:
        """Refuse to begin a folder anew that this archive has elsewhere, on a disk that is not mounted."""
        from archive.catalogue.accounts import refuse_where_founded

        if self.catalogue_path.is_file():
            with self.database.reading() as session:
                refuse_where_founded(session, what)

    @cached_property
    def agent(self) -> "AgentClient":
        from archive.age.agent import AgentClient

        return AgentClient(self.run_folder / "agent" / "socket")

    @cached_property
    def vault(self) -> "Vault":
        from archive.vault import Vault

        return Vault(store=self.store, key_files=self.present_key_files, agent=self.agent)

    @cached_property
    def jobs(self) -> "JobQueue":
        from archive.jobs import JobQueue

        return JobQueue(self.database, self.clock)

    @cached_property
    def signers(self) -> "tuple[SigningKey, ...]":
        from custody.signing_keys import read_signing_keys

        return read_signing_keys(self.signing_keys_path)

    @cached_property
    def verifier_keys(self) -> "tuple[VerifierKey, ...]":
        """The log's public keys: of its signing keys or, in a copy without these, as the store states them."""
        from custody.signing_keys import public_keys

        return public_keys(self.signing_keys_path, self.store)

    @cached_property
    def _authorities(self) -> "tuple[tuple[Authority, ...], dict[str, errors.ConfigError]]":
        from custody.timestamps import load_authorities

        return load_authorities(self.settings.custody.authorities)

    @cached_property
    def authorities(self) -> "tuple[Authority, ...]":
        return self._authorities[0]

    @property
    def unusable_authorities(self) -> "dict[str, errors.ConfigError]":
        """What is wrong with those that the settings name and that cannot be used, by their names."""
        return self._authorities[1]

    @cached_property
    def ledger(self) -> "Ledger":
        return self.ledger_over(self.database)

    def ledger_over(self, database: "Database") -> "Ledger":
        from custody.keyrings import KeyringStatement
        from custody.ledger import Ledger

        keyrings, instrument = KeyringStatement(self.key_files.root, self.signers), ("Testigo", version("testigo"))
        return Ledger(database=database, clock=self.clock, instrument=instrument, keyrings=keyrings)

    @cached_property
    def publisher(self) -> "Publisher":
        from custody.publication import Publisher

        return Publisher(
            database=self.database,
            store=self.store,
            jobs=self.jobs,
            signers=self.signers,
            authorities=[authority.name for authority in self.settings.custody.authorities],
            lock=self.log_lock,
            clock=self.clock,
        )

    @cached_property
    def register(self) -> "Register":
        from custody.register import Register

        return Register(self.database)

    @cached_property
    def reading_room(self) -> "ReadingRoom":
        from custody.reading import ReadingRoom

        return ReadingRoom(database=self.database, vault=self.vault, ledger=self.ledger, register=self.register)

    @cached_property
    def acts(self) -> "Acts":
        from custody.acts import Acts

        days = self.settings.archive.backup_days_max
        return Acts(
            ledger=self.ledger, vault=self.vault, database=self.database, backup_days_max=days, new_id=self.new_id
        )

    @cached_property
    def stamping(self) -> "Stamping":
        from custody.stamping import Stamping

        return Stamping(
            database=self.database,
            store=self.store,
            jobs=self.jobs,
            authorities=self.authorities,
            unusable=self.unusable_authorities,
        )

    @cached_property
    def workers(self) -> "Workers":
        from commands.background import Workers

        return Workers(self)

    @cached_property
    def audit(self) -> "Audit":
        from custody.audit import Audit
        from custody.signing_keys import keys_to_audit_with

        return Audit(
            database=self.catalogue_as_it_lies,
            store=self.store,
            key_files=self.key_files,
            verifier_keys=keys_to_audit_with(self.signing_keys_path, self.store),
            authorities=self.authorities,
            unusable=self.unusable_authorities,
            log_lock=self.log_lock,
            threads=os.cpu_count() or 1,
        )

    @cached_property
    def workbench(self) -> "Workbench":
        from commands.workshop import workbench_of

        return workbench_of(self.settings)

    @cached_property
    def policy(self) -> "Policy":
        from commands.workshop import policy_of

        return policy_of(self.settings)

    @cached_property
    def intake(self) -> "Intake":
        from ingest.intake import Intake

        return Intake(
            vault=self.vault,
            ledger=self.ledger,
            publisher=self.publisher,
            workbench=self.workbench,
            database=self.database,
            jobs=self.jobs,
            settings=self.settings.ingest,
            policy=self.policy,
            equality=self.settings.archive.intake_equality,
            new_id=self.new_id,
        )

    @cached_property
    def batch_import(self) -> "BatchImport":
        from ingest.batch import BatchImport

        return BatchImport(
            intake=self.intake,
            ledger=self.ledger,
            publisher=self.publisher,
            database=self.database,
            settings=self.settings.ingest,
            locks=self.run_folder,
            free_octets=lambda: shutil.disk_usage(self.places.store).free,
            clock=self.clock,
            new_id=self.new_id,
        )

    @cached_property
    def disclosure(self) -> "Disclosure":
        from export.disclosure import Disclosure
        from export.pages import House

        return Disclosure(
            vault=self.vault,
            ledger=self.ledger,
            publisher=self.publisher,
            stamping=self.workers.stamping,
            register=self.register,
            database=self.database,
            places=self.places,
            acts=self.acts,
            house=House(
                organisation=self.settings.archive.organisation,
                contact=self.settings.export.contact,
                software=f"Testigo {version('testigo')}",
                policy_id=self.policy.id,
            ),
            new_id=self.new_id,
        )

    @cached_property
    def actor(self) -> "Actor":
        from custody.accounts import actor_of

        return actor_of(self.database, os_user())

    def close(self) -> None:
        """End the tools and give back what was opened."""
        built = vars(self)
        for name in ("workbench", "store", "database", "catalogue_as_it_lies"):
            if name in built:
                built.pop(name).close()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done · 1 failed, nothing half-done · 2 wrong use or settings · 3 done in part · "
    "4 does not match · 5 no such thing · 6 not allowed · 7 would disclose · 8 changed meanwhile · 9 try again · "
    "10 no archive here · 11 held by another process · 12 locked or wrong passphrase · 130 interrupted.",
)
@click.version_option(version("testigo"), "-V", "--version", prog_name="testigo")
def main() -> None:
    """Testigo: an evidence archive for community rapid-response networks.

    \b
    Example:
      testigo init                                  set up an archive in ./var
      testigo incident new --title "Raid at 6th St" make an incident
      testigo import /media/SD-07 -i I-2026-0001    take in an SD card
      testigo unlock                                open the archive for an hour
      testigo packet build -i I-2026-0001 --to "A. Ortiz" --basis "client file" packet/
    """


if __name__ == "__main__":
    main()
