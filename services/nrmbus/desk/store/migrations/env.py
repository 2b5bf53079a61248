"""Entry point of Alembic, on the connection and in the transaction of `nrmbus.desk.store.schema`."""

from alembic import context

from nrmbus.desk.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
