"""Documents that were uploaded to be shared."""

from alembic import op

from nrmbus.desk.store.migrations.versions.r0001_baseline import on_dialect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
release = "0.1.0"
"""First release that has this revision."""

TABLES = (
    """
    CREATE TABLE documents (
        document TEXT NOT NULL, subject TEXT NOT NULL, event TEXT, sealed BLOB, made TEXT NOT NULL, ends TEXT NOT NULL,
        PRIMARY KEY (document)
    )
    """,
    """
    CREATE TABLE document_pieces (
        document TEXT NOT NULL, "index" INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (document, "index")
    )
    """,
)


def upgrade() -> None:
    """Make the tables."""
    for statement in TABLES:
        op.execute(on_dialect(statement))


def downgrade() -> None:
    """Remove the tables: the earlier release knows no documents, and the rest of one that is being sent is lost."""
    op.drop_table("document_pieces")
    op.drop_table("documents")
