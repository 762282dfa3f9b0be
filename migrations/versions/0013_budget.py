"""Jobs that wait for tomorrow's budget, and what was sent since midnight."""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    op.add_column('jobs', sa.Column('hold', sa.Text(), nullable=True))
    op.create_index('ix_job_attempts_submitted_at', 'job_attempts', ['submitted_at'])


def downgrade() -> None:
    limit_waiting()
    op.drop_index('ix_job_attempts_submitted_at', 'job_attempts')
    op.drop_column('jobs', 'hold')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
