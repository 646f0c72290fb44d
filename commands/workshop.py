"""How the settings become the workbench and its metadata policy; a part of the composition root."""

from dataclasses import replace

from archive.settings import Confinement, Settings
from archive.types import EvidenceKind
from media.cleaners.registry import CLEANERS, INSPECTORS
from media.options import MediaSettings
from media.policy import Policy, build_policy
from media.workbench import Workbench


def workbench_of(settings: Settings) -> Workbench:
    """Build the workbench with every cleaner and inspector that there is."""
    ours = settings.media
    options = replace(
        MediaSettings(),
        workers=ours.workers,
        memory_mib=ours.memory_mib,
        wall_seconds=ours.wall_seconds,
        small_file_mib=ours.small_file_mib,
        rlimits_only=ours.confinement is Confinement.RLIMITS_ONLY,
        run_as=ours.run_as,
    )
    return Workbench(options, cleaners=CLEANERS, inspectors=INSPECTORS)


def policy_of(settings: Settings) -> Policy:
    """Build the policy that the settings describe. Raises: ConfigError as `build_policy`."""
    ours = settings.policy
    return build_policy(
        [(rule.kind, rule.audience, rule.metadata, rule.handling) for rule in ours.rules],
        at_ingest={kind: getattr(ours.at_ingest, kind.value) for kind in EvidenceKind},
        uncleanable=ours.uncleanable,
        place_decimals=ours.place_decimals,
    )
