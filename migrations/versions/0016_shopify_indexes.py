"""What a merchant's home page and every order's news look up: bills of a month, sales of a month, links to an order."""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    limit_waiting()
    op.create_index('ix_usage_events_happened_at', 'usage_events', ['brand_id', 'happened_at'])
    op.create_index('ix_orders_paid_at', 'orders', ['brand_id', 'paid_at'])
    is_link = sa.text("event_type = 'checkout_linked'")
    op.create_index(
        'ix_events_checkout_linked', 'events', ['brand_id', 'dedup_key'],
        postgresql_where=is_link, sqlite_where=is_link, postgresql_ops={'dedup_key': 'text_pattern_ops'},
    )


def downgrade() -> None:
    limit_waiting()
    op.drop_index('ix_events_checkout_linked', table_name='events')
    op.drop_index('ix_orders_paid_at', table_name='orders')
    op.drop_index('ix_usage_events_happened_at', table_name='usage_events')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
