"""Which request ordered a job, for the log."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    op.add_column('jobs', sa.Column('request_id', sa.Text(), nullable=True))


def downgrade() -> None:
    limit_waiting()
    op.drop_column('jobs', 'request_id')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
