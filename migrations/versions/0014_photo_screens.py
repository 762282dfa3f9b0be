"""When a shopper last opened the photo screen: a worker may be warm when the photo comes."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    op.create_table('photo_screens',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('screen', sa.Text(), nullable=False),
    sa.Column('opened_at', columns.UtcDateTime(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_photo_screens')),
    sa.UniqueConstraint('screen', name=op.f('uq_photo_screens_screen'))
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE photo_screens ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    limit_waiting()
    op.drop_table('photo_screens')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
