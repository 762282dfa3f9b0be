"""No brand keeps a figure for longer than shoppers are told: 30 days."""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    op.execute(sa.text('UPDATE brands SET retention_days = 30 WHERE retention_days > 30'))
    limit_days(30)


def downgrade() -> None:
    limit_waiting()
    limit_days(365)


def limit_days(most: int) -> None:
    with op.batch_alter_table('brands') as batch_op:
        batch_op.drop_constraint(op.f('ck_brands_retention_days'), type_='check')
        batch_op.create_check_constraint(op.f('ck_brands_retention_days'), f'retention_days BETWEEN 1 AND {most}')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
