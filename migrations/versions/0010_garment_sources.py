"""Garments from a brand's own models, from a file, and judged by its own bands."""

import sqlalchemy as sa
from alembic import op

from backend.core import columns

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

TABLES = ("garment_uploads", "garment_imports", "fit_bands")
COLUMNS = ("external_id", "fit_bands", "design_ease_cm", "prepared_key", "prepared_sha256", "prepared_bytes")


def upgrade() -> None:
    limit_waiting()
    op.create_table('garment_uploads',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('brand_id', sa.Uuid(), nullable=False),
    sa.Column('garment_id', sa.Uuid(), nullable=False),
    sa.Column('size', sa.Text(), nullable=False),
    sa.Column('source_key', sa.Text(), nullable=False),
    sa.Column('source_sha256', sa.Text(), nullable=False),
    sa.Column('source_bytes', sa.Integer(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.CheckConstraint('length(size) <= 32', name=op.f('ck_garment_uploads_size_length')),
    sa.ForeignKeyConstraint(['brand_id', 'garment_id'], ['garments.brand_id', 'garments.id'], name=op.f('fk_garment_uploads_brand_id_garment_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['brand_id'], ['brands.id'], name=op.f('fk_garment_uploads_brand_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_garment_uploads')),
    sa.UniqueConstraint('brand_id', 'garment_id', 'size', name=op.f('uq_garment_uploads_brand_id_garment_id_size'))
    )
    op.create_table('garment_imports',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('brand_id', sa.Uuid(), nullable=False),
    sa.Column('file_sha256', sa.Text(), nullable=False),
    sa.Column('garments', columns.Json(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('next_place', sa.Integer(), nullable=False),
    sa.Column('made', sa.Integer(), nullable=False),
    sa.Column('changed', sa.Integer(), nullable=False),
    sa.Column('failed', sa.Integer(), nullable=False),
    sa.Column('problems', columns.Json(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.CheckConstraint("state IN ('running', 'done')", name=op.f('ck_garment_imports_state')),
    sa.ForeignKeyConstraint(['brand_id'], ['brands.id'], name=op.f('fk_garment_imports_brand_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_garment_imports')),
    sa.UniqueConstraint('brand_id', 'file_sha256', name=op.f('uq_garment_imports_brand_id_file_sha256'))
    )
    with op.batch_alter_table('garment_imports') as batch_op:
        batch_op.create_index('ix_garment_imports_state', ['state'], unique=False)
    op.create_table('fit_bands',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('brand_id', sa.Uuid(), nullable=False),
    sa.Column('category', sa.Text(), nullable=False),
    sa.Column('stretch', sa.Text(), nullable=False),
    sa.Column('measures', sa.Text(), nullable=False),
    sa.Column('limits_cm', columns.Json(), nullable=False),
    sa.Column('created_at', columns.UtcDateTime(), nullable=False),
    sa.Column('updated_at', columns.UtcDateTime(), nullable=False),
    sa.CheckConstraint("category IN ('t-shirt', 'long-sleeve shirt', 'hoodie', 'dress', 'skirt', 'trousers', 'shorts')", name=op.f('ck_fit_bands_category')),
    sa.CheckConstraint("stretch IN ('woven', 'knit', 'stretch')", name=op.f('ck_fit_bands_stretch')),
    sa.CheckConstraint("measures IN ('garment', 'body')", name=op.f('ck_fit_bands_measures')),
    sa.ForeignKeyConstraint(['brand_id'], ['brands.id'], name=op.f('fk_fit_bands_brand_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_fit_bands')),
    sa.UniqueConstraint('brand_id', 'category', 'stretch', 'measures', name=op.f('uq_fit_bands_brand_id_category_stretch_measures'))
    )
    with op.batch_alter_table('garments') as batch_op:
        batch_op.add_column(sa.Column('external_id', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('fit_bands', columns.Json(), nullable=True))
        batch_op.add_column(sa.Column('design_ease_cm', columns.Json(), nullable=True))
        batch_op.add_column(sa.Column('prepared_key', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('prepared_sha256', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('prepared_bytes', sa.Integer(), nullable=True))
        batch_op.create_check_constraint(op.f('ck_garments_external_id_length'), 'length(external_id) <= 200')
        batch_op.create_index('ix_garments_external_id', ['brand_id', 'external_id'], unique=True)
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    limit_waiting()
    with op.batch_alter_table('garments') as batch_op:
        batch_op.drop_index('ix_garments_external_id')
        batch_op.drop_constraint(op.f('ck_garments_external_id_length'), type_='check')
        for name in COLUMNS:
            batch_op.drop_column(name)
    for table in TABLES:
        op.drop_table(table)


def limit_waiting() -> None:
    """Rather fail than stand in the way of the running service. New tables also need ENABLE ROW LEVEL SECURITY."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.execute("SET LOCAL statement_timeout = '60s'")
