# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.core.storage import SOURCES, ObjectNotFound
from backend.garments.errors import GarmentNotFound, InvalidSizeChart, ProductTaken
from backend.garments.models import Garment
from backend.garments.schemas import GarmentChanges, GarmentPage, GarmentView, NewGarment
from backend.garments.service import GarmentService

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_GARMENT_BYTES = 256_000
PREVIEW_LIFE = timedelta(minutes=15)


async def provide_garments(db_session: NamedDependency[AsyncSession], state: State) -> GarmentService:
    return GarmentService(db_session, state.clock, state.garment_listeners)


class GarmentController(Controller):
    path = "/v1/garments"
    dependencies = {"garments": Provide(provide_garments)}  # noqa: RUF012  Litestar's own form
    guards = [brand_only]  # noqa: RUF012
    security = BRAND_SECURITY
    tags = ["garments"]  # noqa: RUF012
    request_max_body_size = MAX_GARMENT_BYTES

    @post(
        operation_id="create_garment", responses=refusals(Unauthorized, InvalidSizeChart, InvalidRequest, ProductTaken)
    )
    async def create_garment(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        data: JSONBody[NewGarment],
    ) -> Response[GarmentView]:
        """Its size is recommended from now on; its mesh is built behind, `pending` until then."""
        garment = await garments.create(brand.brand_id, data)
        return Response(
            await _view(state, garment),
            status_code=201,
            headers={"Location": f"/v1/garments/{garment.id}"},
            background=BackgroundTask(state.wake),
        )

    @get(operation_id="list_garments", responses=refusals(Unauthorized, InvalidRequest))
    async def list_garments(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        shopify_product_id: FromQuery[int | None] = None,
    ) -> GarmentPage:
        """Oldest first, by cursor."""
        rows, next_cursor = await garments.page(
            brand.brand_id, cursor=cursor, limit=limit, shopify_product_id=shopify_product_id
        )
        return GarmentPage([await _view(state, row) for row in rows], next_cursor)

    @get("/{garment_id:uuid}", operation_id="get_garment", responses=refusals(Unauthorized, GarmentNotFound))
    async def get_garment(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        garment_id: FromPath[UUID],
    ) -> GarmentView:
        return await _view(state, await garments.get(brand.brand_id, garment_id))

    @patch(
        "/{garment_id:uuid}",
        operation_id="change_garment",
        responses=refusals(Unauthorized, GarmentNotFound, InvalidSizeChart, InvalidRequest, ProductTaken),
    )
    async def change_garment(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        garment_id: FromPath[UUID],
        data: JSONBody[GarmentChanges],
    ) -> Response[GarmentView]:
        """What is left out stays; open try-on sessions are judged and dressed anew."""
        garment = await garments.change(brand.brand_id, garment_id, data)
        return Response(await _view(state, garment), background=BackgroundTask(state.wake))

    @delete("/{garment_id:uuid}", operation_id="delete_garment", responses=refusals(Unauthorized, GarmentNotFound))
    async def delete_garment(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        garment_id: FromPath[UUID],
    ) -> None:
        """Its try-on sessions go with it."""
        await garments.delete(brand.brand_id, garment_id)


async def _view(state: State, garment: Garment) -> GarmentView:
    if garment.preview_key is None:
        return GarmentView.of(garment)
    try:
        signed = await state.store.signed_get_url(SOURCES.name, garment.preview_key, ttl=PREVIEW_LIFE)
    except ObjectNotFound:
        return GarmentView.of(garment)
    return GarmentView.of(garment, signed.url)
