"""Garments with a mesh of their own, and on bodies."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

LOOK = '{"colour": "#5b7086", "fabric": ""}'


def upgrade() -> None:
    limit_waiting()
    op.create_table('worn_garments',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('brand_id', sa.Uuid(), nullable=False),
    sa.Column('avatar_id', sa.Uuid(), nullable=False),
    sa.Column('garment_id', sa.Uuid(), nullable=False),
    sa.Column('what_sha256', sa.Text(), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=True),
    sa.Column('is_under_way', sa.Boolean(), nullable=False),
    sa.Column('wanted', columns.Json(), nullable=False),
    sa.Column('worn_key', sa.Text(), nullable=True),
    sa.Column('polished', columns.Json(), nullable=False),
    sa.Column('unavailable', columns.Json(), nullable=False),
    sa.Column('base', sa.Text(), nullable=True),
    sa.Column('error_code', sa.Text(), nullable=True),
    sa.Column('last_used_at', columns.UtcDateTime(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['brand_id', 'avatar_id'], ['avatars.brand_id', 'avatars.id'], name=op.f('fk_worn_garments_brand_id_avatar_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['brand_id', 'garment_id'], ['garments.brand_id', 'garments.id'], name=op.f('fk_worn_garments_brand_id_garment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['brand_id'], ['brands.id'], name=op.f('fk_worn_garments_brand_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_worn_garments')),
    sa.UniqueConstraint('brand_id', 'avatar_id', 'garment_id', name=op.f('uq_worn_garments_brand_id_avatar_id_garment_id'))
    )
    with op.batch_alter_table('worn_garments') as batch_op:
        batch_op.create_index('ix_worn_garments_garment_id', ['brand_id', 'garment_id'], unique=False)
        batch_op.create_index('ix_worn_garments_job_id', ['brand_id', 'job_id'], unique=False)
        batch_op.create_index('ix_worn_garments_last_used_at', ['last_used_at'], unique=False)
    with op.batch_alter_table('tryon_sessions') as batch_op:
        batch_op.drop_constraint(op.f('ck_tryon_sessions_dressing'), type_='check')
        batch_op.drop_column('worn_key')
        batch_op.drop_column('dressing')
    with op.batch_alter_table('avatars') as batch_op:
        batch_op.add_column(sa.Column('body_sha256', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('body_bytes', sa.Integer(), nullable=True))
    with op.batch_alter_table('garments') as batch_op:
        batch_op.add_column(sa.Column('look', columns.Json(), nullable=True))
        batch_op.add_column(sa.Column('status', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('job_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('size_reports', columns.Json(), nullable=True))
        batch_op.add_column(sa.Column('preview_key', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('error_code', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('error_detail', sa.Text(), nullable=True))
    json_type = "jsonb" if op.get_bind().dialect.name == "postgresql" else "text"
    update = sa.text(f"UPDATE garments SET look = CAST(:look AS {json_type}), status = 'ready', size_reports = CAST('[]' AS {json_type})")
    op.execute(update.bindparams(look=LOOK))
    with op.batch_alter_table('garments') as batch_op:
        batch_op.alter_column('look', existing_type=columns.Json(), nullable=False)
        batch_op.alter_column('status', existing_type=sa.Text(), nullable=False)
        batch_op.alter_column('size_reports', existing_type=columns.Json(), nullable=False)
        batch_op.create_check_constraint(op.f('ck_garments_status'), "status IN ('pending', 'ready', 'refused')")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE worn_garments ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('garments') as batch_op:
        batch_op.drop_constraint(op.f('ck_garments_status'), type_='check')
        for name in ('error_detail', 'error_code', 'preview_key', 'size_reports', 'job_id', 'status', 'look'):
            batch_op.drop_column(name)
    with op.batch_alter_table('avatars') as batch_op:
        batch_op.drop_column('body_bytes')
        batch_op.drop_column('body_sha256')
    with op.batch_alter_table('tryon_sessions') as batch_op:
        batch_op.add_column(sa.Column('worn_key', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('dressing', sa.Text(), nullable=True))
        batch_op.create_check_constraint(op.f('ck_tryon_sessions_dressing'), "dressing IN ('queued', 'draft', 'final')")
    op.drop_table('worn_garments')


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
