"""Step 5 of 7, store: how Alembic reaches the database. The connection comes from polling/store/migrate.py."""

from alembic import context

from polling.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
