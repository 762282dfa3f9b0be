"""${message}."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    limit_waiting()
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    limit_waiting()
    ${downgrades if downgrades else "pass"}


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
