"""Pictures of a garment's look."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('garments') as batch_op:
        batch_op.add_column(sa.Column('look_pictures', columns.Json(), nullable=True))


def downgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('garments') as batch_op:
        batch_op.drop_column('look_pictures')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
