"""Alembic's entry: runs on the connection that `nrmbus.desk.store.schema` hands over, in the transaction that it opened."""

from alembic import context

from nrmbus.desk.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
