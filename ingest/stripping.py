"""Step 5 where a network keeps no metadata: what is handed in lies only in staging, under a key that is forgotten.

The stream is read once, as always, and sealed to a key that nobody keeps. What kind of evidence it is decides: a kind
that is kept whole is sealed again to its item's key; a kind that is stripped is cleaned straight into a sealed object,
which its readers must find clean. The staged stream is dropped either way, and with the key what it held.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from archive.age.recipients import parse_recipient
from archive.age.seekable import SeekableReader
from archive.catalogue.records import Json
from archive.errors import InputError
from archive.keyfiles import OwnerKey
from archive.sealing import StagedObject
from archive.types import AtIngest, Audience, Uncleanable
from archive.vault import Vault
from media.cleaning import Verdict, plan_copy
from media.identify import STATEMENT
from media.policy import Policy
from media.ranges import FileRanges, RangeSource
from media.workbench import Workbench

STRIPPED_FOR = Audience.PUBLIC
"""What is kept of a stripped file is what may go to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What became of a stream at intake. `handed_in` is None where the object is the stream itself; `mark` says why a
    file that should have been stripped was kept whole."""

    original: StagedObject
    handed_in: Json = None
    mark: str = ""


class Stripping:
    """Takes streams in for an archive that strips at least one kind of evidence."""

    def __init__(self, *, vault: Vault, workbench: Workbench, policy: Policy) -> None:
        self._vault = vault
        self._workbench = workbench
        self._policy = policy

    def take(self, source: BinaryIO, key: OwnerKey, *, written: bool = False) -> TakenIn:
        """Seal what is to be kept of a stream to its item's key.

        Raises: InputError `ingest/cannot-strip` where the settings refuse what cannot be cleaned; as `Vault.stage`.
        """
        passing = OwnerKey.generate(key.owner, parse_recipient(key.recipient).kind)
        whole = self._vault.stage(source, passing.recipient)
        try:
            with self._vault.reread(whole) as stream:
                return self._keep(whole, stream, key, written)
        finally:
            whole.staged.abort()

    def _keep(self, whole: StagedObject, stream: SeekableReader, key: OwnerKey, written: bool) -> TakenIn:
        examination = self._workbench.examine(stream, whole.sealed.head)
        if written:
            examination = replace(examination, format=STATEMENT)
        if self._policy.at_ingest[examination.format.kind] is AtIngest.KEEP:
            return TakenIn(original=self._seal_again(stream, key))
        copy = SealedCopy(self._vault, key.recipient)
        try:
            plan = plan_copy(self._policy, examination.format.kind, STRIPPED_FOR)
            verdict = self._workbench.clean(stream, examination, plan, copy)
            return TakenIn(original=copy.finished(verdict), handed_in=_told(whole, verdict))
        except InputError as error:
            copy.drop()
            if self._policy.uncleanable is Uncleanable.KEEP_MARKED:
                return TakenIn(original=self._seal_again(stream, key), mark=error.message)
            raise InputError(
                "ingest/cannot-strip",
                "This file was not taken in: this archive keeps no metadata of files of its kind, and it could not be "
                f"cleaned. {error.message.replace('The original is kept as it is.', 'What was sent is untouched.')}",
                evidence={"cleaning": error.code},
            ) from error
        except BaseException:
            copy.drop()
            raise

    def _seal_again(self, stream: SeekableReader, key: OwnerKey) -> StagedObject:
        stream.seek(0)
        return self._vault.stage(cast(BinaryIO, stream), key.recipient)


class SealedCopy:
    """A `media.cleaners.port.Copy` that is sealed as it is written, and read again through its seal."""

    def __init__(self, vault: Vault, recipient: str) -> None:
        self._vault = vault
        self._stage = vault.stage_patchable(recipient)
        self._object: StagedObject | None = None
        self.sink = self._stage.sink

    @contextmanager
    def reading(self) -> Iterator[RangeSource]:
        """End the writing, and give the copy to its readers."""
        self._object = self._stage.finish()
        with self._vault.reread(self._object) as reader:
            yield FileRanges(reader)

    def finished(self, verdict: Verdict) -> StagedObject:
        """Give the copy that was found clean, as an object that waits to be published."""
        if self._object is None or self._object.sealed.sha256.value != verdict.sha256:
            raise ValueError("a verdict belongs to the copy that was read")
        return self._object

    def drop(self) -> None:
        """Throw the copy away."""
        if self._object is not None:
            self._object.staged.abort()
        else:
            self._stage.__exit__(None, None, None)


def _told(whole: StagedObject, verdict: Verdict) -> Json:
    """What the log commits to of a stripped file: both digests, the classes that went, who made and who read it."""
    told: dict[str, Json] = {
        "handed_in": {"sha256": whole.sealed.sha256.hex, "size": whole.sealed.size},
        "stored": {"sha256": verdict.sha256.hex(), "size": verdict.size},
        "removed": {about.value: count for about, count in verdict.removed},
        "parts_gone": list(verdict.parts_gone),
        "tool": f"{verdict.tool} {verdict.version}",
        "second_reader": f"{verdict.reader} {verdict.reader_version}",
    }
    return told
