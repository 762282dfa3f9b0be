"""What compute costs: prices, the cost of each attempt, what the scaler did."""

from datetime import UTC, date, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

KNOWN_SINCE = datetime(2026, 6, 8, tzinfo=UTC)
LISTED = (('AMPERE_24', 190), ('ADA_24', 310), ('AMPERE_48', 340), ('ADA_48_PRO', 530), ('AMPERE_80', 760), ('ADA_80_PRO', 1160))
SOURCE = "RunPod's documentation, 2026-06-08; not verified live"


def upgrade() -> None:
    limit_waiting()
    op.create_table('gpu_prices',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('pool', sa.Text(), nullable=False),
    sa.Column('gpu_name', sa.Text(), nullable=True),
    sa.Column('microusd_per_s', sa.Integer(), nullable=False),
    sa.Column('valid_from', columns.UtcDateTime(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('verified_on', sa.Date(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.CheckConstraint('microusd_per_s > 0', name=op.f('ck_gpu_prices_microusd_per_s')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gpu_prices'))
    )
    op.create_index('ix_gpu_prices_pool', 'gpu_prices', ['pool', 'valid_from'])
    op.create_table('scaling_log',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('deed', sa.Text(), nullable=False),
    sa.Column('reasons', columns.Json(), nullable=False),
    sa.Column('before', columns.Json(), nullable=False),
    sa.Column('after', columns.Json(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.CheckConstraint("deed IN ('recommended', 'sent', 'failed')", name=op.f('ck_scaling_log_deed')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_scaling_log'))
    )
    op.create_index('ix_scaling_log_provider', 'scaling_log', ['provider', 'created_at'])
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.add_column(sa.Column('hits', sa.Integer(), nullable=True))
    op.execute("UPDATE jobs SET hits = 0")
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.alter_column('hits', existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table('job_attempts') as attempts:
        for name in ('cold_ms', 'idle_ms', 'microusd_per_s', 'cost_microusd'):
            attempts.add_column(sa.Column(name, sa.Integer(), nullable=True))
        attempts.add_column(sa.Column('costed_at', columns.UtcDateTime(), nullable=True))
        attempts.create_index('ix_job_attempts_worker', ['provider', 'endpoint_id', 'worker_id', 'submitted_at'])
        attempts.create_index('ix_job_attempts_closed_at', ['closed_at'])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE gpu_prices ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE scaling_log ENABLE ROW LEVEL SECURITY")
    _add_listed_prices()


def _add_listed_prices() -> None:
    prices = sa.table(
        'gpu_prices',
        sa.column('id', sa.Uuid()), sa.column('pool', sa.Text()), sa.column('gpu_name', sa.Text()),
        sa.column('microusd_per_s', sa.Integer()), sa.column('valid_from', columns.UtcDateTime()),
        sa.column('source', sa.Text()), sa.column('verified_on', sa.Date()),
        sa.column('created_at', columns.UtcDateTime()), sa.column('updated_at', columns.UtcDateTime()),
    )
    op.bulk_insert(prices, [
        {
            'id': UUID(int=(KNOWN_SINCE.year << 64) + n), 'pool': pool, 'gpu_name': None, 'microusd_per_s': price,
            'valid_from': KNOWN_SINCE, 'source': SOURCE, 'verified_on': date(2026, 6, 8),
            'created_at': KNOWN_SINCE, 'updated_at': KNOWN_SINCE,
        }
        for n, (pool, price) in enumerate(LISTED, start=1)
    ])


def downgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('job_attempts') as batch_op:
        batch_op.drop_index('ix_job_attempts_closed_at')
        batch_op.drop_index('ix_job_attempts_worker')
        for name in ('costed_at', 'cost_microusd', 'microusd_per_s', 'idle_ms', 'cold_ms'):
            batch_op.drop_column(name)
    with op.batch_alter_table('jobs') as batch_op:
        batch_op.drop_column('hits')
    op.drop_table('scaling_log')
    op.drop_table('gpu_prices')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
