"""Row level security everywhere, and the view that reports read.

Hosted Postgres may offer tables of `public` over HTTP: with security on and no policy nobody but the owner, our
backend, gets a row. The view hides what engines disagree about (ids, times, JSON) from every report.
"""

from alembic import op
from sqlalchemy import inspect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQLITE_VIEW = """
CREATE VIEW analytics_events AS
SELECT
    brand_id, user_id, session_id, visitor_id, event_type, source,
    CAST(is_bot AS INTEGER) AS is_bot,
    CAST(strftime('%s', occurred_at) AS INTEGER) * 1000
        + CAST(substr(strftime('%f', occurred_at), 4, 3) AS INTEGER) AS occurred_ms,
    json_extract(metadata, '$.garment_id') AS garment_id,
    json_extract(metadata, '$.product_id') AS product_id,
    json_extract(metadata, '$.size') AS size,
    json_extract(metadata, '$.order_id') AS order_id
FROM events
"""

POSTGRES_VIEW = """
CREATE VIEW analytics_events WITH (security_invoker = true) AS
SELECT
    replace(brand_id::text, '-', '') AS brand_id,
    replace(user_id::text, '-', '') AS user_id,
    replace(session_id::text, '-', '') AS session_id,
    visitor_id, event_type, source,
    is_bot::int::bigint AS is_bot,
    (extract(epoch FROM date_trunc('milliseconds', occurred_at)) * 1000)::bigint AS occurred_ms,
    metadata->>'garment_id' AS garment_id,
    metadata->>'product_id' AS product_id,
    metadata->>'size' AS size,
    metadata->>'order_id' AS order_id
FROM events
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(SQLITE_VIEW)
        return
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in inspect(op.get_bind()).get_table_names():
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(POSTGRES_VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW analytics_events")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        for table in inspect(op.get_bind()).get_table_names():
            op.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')
