"""Drop links, visits with their deliveries, consents and questions, and unfinished uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "slip",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_slip")),
    )
    op.create_index(op.f("ix_slip_visit_id"), "slip", ["visit_id"], unique=False)
    op.create_table(
        "drop_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("code_mac", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("uses", sa.String(length=8), nullable=False),
        sa.Column("most_octets", sa.BigInteger(), nullable=False),
        sa.Column("most_files", sa.BigInteger(), nullable=False),
        sa.Column("questions", sa.Text(), nullable=False),
        sa.Column("wording", sa.String(length=32), nullable=False),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("expires_time", sa.BigInteger(), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_drop_link_incident_id_incident")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_drop_link_organisation_id_organisation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drop_link")),
        sa.UniqueConstraint("code_mac", name=op.f("uq_drop_link_code_mac")),
        sa.UniqueConstraint("number", name=op.f("uq_drop_link_number")),
    )
    op.create_index(op.f("ix_drop_link_incident_id"), "drop_link", ["incident_id"], unique=False)
    op.create_table(
        "visit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("drop_link_id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender_recipients", sa.Text(), nullable=False),
        sa.Column("code_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["drop_link_id"], ["drop_link.id"], name=op.f("fk_visit_drop_link_id_drop_link")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("fk_visit_incident_id_incident")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_visit_organisation_id_organisation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("code_digest", name=op.f("uq_visit_code_digest")),
        sa.UniqueConstraint("number", name=op.f("uq_visit_number")),
    )
    op.create_index(op.f("ix_visit_drop_link_id"), "visit", ["drop_link_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.String(length=20), nullable=False),
        sa.Column("audiences", sa.Text(), nullable=False),
        sa.Column("wording", sa.String(length=32), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("given_time", sa.BigInteger(), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_consent_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint("visit_id", "version", name=op.f("uq_consent_visit_id")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("upload", sa.LargeBinary(32), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("comparison", sa.String(length=12), nullable=False),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("delivered_time", sa.BigInteger(), nullable=False),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_delivery_item_id_item")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_delivery_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("upload", name=op.f("uq_delivery_upload")),
    )
    op.create_index(op.f("ix_delivery_item_id"), "delivery", ["item_id"], unique=False)
    op.create_index(op.f("ix_delivery_visit_id"), "delivery", ["visit_id"], unique=False)
    op.create_table(
        "question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("asked_time", sa.BigInteger(), nullable=False),
        sa.Column("answered_time", sa.BigInteger(), nullable=True),
        sa.Column("record_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_question_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
    )
    op.create_index(op.f("ix_question_visit_id"), "question", ["visit_id"], unique=False)
    op.create_table(
        "upload",
        sa.Column("name", sa.LargeBinary(32), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("drop_link_id", sa.Uuid(), nullable=False),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("created_time", sa.BigInteger(), nullable=False),
        sa.Column("changed_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["drop_link_id"], ["drop_link.id"], name=op.f("fk_upload_drop_link_id_drop_link")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_upload_visit_id_visit")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_upload")),
    )
    op.create_index(op.f("ix_upload_drop_link_id"), "upload", ["drop_link_id"], unique=False)
    op.create_index("ix_upload_state_changed_time", "upload", ["state", "changed_time"], unique=False)
    op.create_index(op.f("ix_upload_visit_id"), "upload", ["visit_id"], unique=False)
