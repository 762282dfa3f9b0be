"""Whose turn it is among jobs; a job taken from a queue that does not move."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

BEFORE = "'sending', 'submitted', 'unknown', 'succeeded', 'failed', 'cancelled', 'not_accepted', 'rejected', 'no_artifact', 'timed_out', 'gone', 'abandoned'"


def upgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.add_column(sa.Column('priority', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('turn_at', columns.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column('moved_from', sa.Text(), nullable=True))
        batch_op.drop_index('ix_jobs_due')
        batch_op.create_index('ix_jobs_due', ['state', 'turn_at', 'next_at'], unique=False)
    op.execute("UPDATE jobs SET priority = 1, turn_at = next_at")
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.alter_column('priority', existing_type=sa.Integer(), nullable=False)
        batch_op.alter_column('turn_at', existing_type=columns.UtcDateTime(), nullable=False)
    with op.batch_alter_table('job_attempts') as batch_op:
        batch_op.drop_index('ix_job_attempts_due')
        batch_op.create_index('ix_job_attempts_due', ['poll_at'], unique=False)
        batch_op.create_index('ix_job_attempts_state', ['state', 'provider', 'endpoint_id'], unique=False)
        batch_op.drop_constraint(op.f('ck_job_attempts_state'), type_='check')
        batch_op.create_check_constraint(op.f('ck_job_attempts_state'), f"state IN ({BEFORE}, 'queue_timeout')")


def downgrade() -> None:
    limit_waiting()
    op.execute("UPDATE job_attempts SET state = 'abandoned' WHERE state = 'queue_timeout'")
    with op.batch_alter_table('job_attempts') as batch_op:
        batch_op.drop_constraint(op.f('ck_job_attempts_state'), type_='check')
        batch_op.create_check_constraint(op.f('ck_job_attempts_state'), f"state IN ({BEFORE})")
        batch_op.drop_index('ix_job_attempts_state')
        batch_op.drop_index('ix_job_attempts_due')
        batch_op.create_index('ix_job_attempts_due', ['state', 'poll_at'], unique=False)
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.drop_index('ix_jobs_due')
        batch_op.create_index('ix_jobs_due', ['state', 'next_at'], unique=False)
        batch_op.drop_column('moved_from')
        batch_op.drop_column('turn_at')
        batch_op.drop_column('priority')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
