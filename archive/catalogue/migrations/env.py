"""Alembic's door: run the migrations on the connection that `Database.migrate` hands over."""

from alembic import context

from archive.catalogue.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=False, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
