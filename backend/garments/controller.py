# No `from __future__ import annotations` here: Litestar reads annotations at run time.
import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.background_tasks import BackgroundTask
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ClientException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.db import commit_now
from backend.core.magic import matches_type
from backend.core.problems import InvalidRequest, Unauthorized, Unavailable, refusals
from backend.core.storage import GLB, HEAD_BYTES, SOURCES, ObjectNotFound
from backend.garments.errors import (
    GarmentNotFound,
    InvalidModel,
    InvalidPicture,
    InvalidSizeChart,
    ModelNotFound,
    ModelTooLarge,
    PictureTooLarge,
    ProductTaken,
)
from backend.garments.models import Garment
from backend.garments.schemas import MAX_PRODUCT_ID, GarmentChanges, GarmentPage, GarmentView, NewGarment
from backend.garments.service import GarmentService, check_size
from backend.garments.uploads import kept_file

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_GARMENT_BYTES = 256_000
MAX_PICTURE_BYTES = 8_000_000
PICTURES = ("image/png", "image/jpeg")
PREVIEW_LIFE = timedelta(minutes=15)


async def provide_garments(db_session: NamedDependency[AsyncSession], state: State) -> GarmentService:
    return GarmentService(db_session, state.clock, state.garment_listeners)


@dataclass
class TakesFile(Operation):
    """An operation whose body is a file as it is."""

    media_types: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        file = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        self.request_body = RequestBody(content=dict.fromkeys(self.media_types, file), required=True)


class TakesModel(TakesFile):
    media_types = (GLB,)


class TakesPicture(TakesFile):
    media_types = PICTURES


async def model_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: what is said to be no GLB, or too large a one, is refused unread."""
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {GLB, "application/octet-stream", ""}:
        raise InvalidModel(f"Send the file itself, as {GLB}: no address is ever fetched.", field="Content-Type")
    length = connection.headers.get("content-length", "")
    if length.isdigit() and int(length) > SOURCES.max_bytes:
        raise ModelTooLarge(f"A model has at most {SOURCES.max_bytes:,} bytes.", max_bytes=SOURCES.max_bytes)


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
        await commit_now(garments.session)
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
        shopify_product_id: Annotated[int | None, QueryParameter(ge=1, le=MAX_PRODUCT_ID)] = None,
    ) -> GarmentPage:
        """Oldest first, by cursor."""
        rows, next_cursor = await garments.page(
            brand.brand_id, cursor=cursor, limit=limit, shopify_product_id=shopify_product_id
        )
        return GarmentPage(await asyncio.gather(*(_view(state, row) for row in rows)), next_cursor)

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
        await commit_now(garments.session)
        return Response(await _view(state, garment), background=BackgroundTask(state.wake))

    @put(
        "/{garment_id:uuid}/sizes/{size:path}",
        operation_id="put_garment_size",
        status_code=202,
        guards=[model_only],
        operation_class=TakesModel,
        request_max_body_size=SOURCES.max_bytes + 1,
        responses=refusals(Unauthorized, GarmentNotFound, InvalidModel, ModelTooLarge, Unavailable),
    )
    async def put_garment_size(
        self,
        request: Request[Any, Any, Any],
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        garment_id: FromPath[UUID],
        size: FromPath[str],
    ) -> Response[GarmentView]:
        """The brand's own model of one size: the body is the GLB. Checked and made ready behind; `sizes` say how."""
        size = size.removeprefix("/")  # a path, because a size may be named 2X/3X
        async with state.database.transaction(read_only=True) as session:
            check_size(await GarmentService(session, state.clock).get(brand.brand_id, garment_id), size)
        body = await _model(request)
        async with kept_file(state.store, brand.brand_id, garment_id, body, GLB) as source:
            garment = await garments.put_size(brand.brand_id, garment_id, size, source)
        await commit_now(garments.session)
        return Response(await _view(state, garment), status_code=202, background=BackgroundTask(state.wake))

    @delete(
        "/{garment_id:uuid}/sizes/{size:path}",
        operation_id="delete_garment_size",
        responses=refusals(Unauthorized, GarmentNotFound, ModelNotFound),
    )
    async def delete_garment_size(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        garment_id: FromPath[UUID],
        size: FromPath[str],
    ) -> Response[None]:
        """The size is made from the brand's other models, or all of them from the chart if none is left."""
        await garments.remove_size(brand.brand_id, garment_id, size.removeprefix("/"))
        return Response(None, status_code=204, background=BackgroundTask(state.wake))

    @put(
        "/{garment_id:uuid}/look/{picture:str}",
        operation_id="put_garment_picture",
        status_code=202,
        operation_class=TakesPicture,
        request_max_body_size=MAX_PICTURE_BYTES,
        responses=refusals(Unauthorized, GarmentNotFound, InvalidPicture, PictureTooLarge, Unavailable),
    )
    async def put_garment_picture(
        self,
        request: Request[Any, Any, Any],
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        state: State,
        garment_id: FromPath[UUID],
        picture: FromPath[Literal["photo", "texture"]],
    ) -> Response[GarmentView]:
        """`photo`: the garment's front on a plain ground; `texture`: a tile of its cloth. The body is the picture."""
        async with state.database.transaction(read_only=True) as session:
            await GarmentService(session, state.clock).get(brand.brand_id, garment_id)
        body, media_type = await _picture(request)
        async with kept_file(state.store, brand.brand_id, garment_id, body, media_type) as source:
            garment = await garments.put_picture(brand.brand_id, garment_id, picture, source)
        await commit_now(garments.session)
        return Response(await _view(state, garment), status_code=202, background=BackgroundTask(state.wake))

    @delete(
        "/{garment_id:uuid}/look/{picture:str}",
        operation_id="delete_garment_picture",
        responses=refusals(Unauthorized, GarmentNotFound),
    )
    async def delete_garment_picture(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        garment_id: FromPath[UUID],
        picture: FromPath[Literal["photo", "texture"]],
    ) -> None:
        """The colour counts again."""
        await garments.put_picture(brand.brand_id, garment_id, picture, None)

    @delete("/{garment_id:uuid}", operation_id="delete_garment", responses=refusals(Unauthorized, GarmentNotFound))
    async def delete_garment(
        self,
        garments: NamedDependency[GarmentService],
        brand: NamedDependency[BrandContext],
        garment_id: FromPath[UUID],
    ) -> None:
        """Its try-on sessions go with it."""
        await garments.delete(brand.brand_id, garment_id)


async def _model(request: Request[Any, Any, Any]) -> bytes:
    try:
        body = await request.body()
    except ClientException as error:
        if error.status_code != HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            raise
        detail = f"A model has at most {SOURCES.max_bytes:,} bytes."
        raise ModelTooLarge(detail, max_bytes=SOURCES.max_bytes) from error
    if not matches_type(body[:HEAD_BYTES], len(body), GLB):
        raise InvalidModel("The file is no binary glTF 2.0, or not all of it has arrived.", field="body")
    return body


async def _picture(request: Request[Any, Any, Any]) -> tuple[bytes, str]:
    try:
        body = await request.body()
    except ClientException as error:
        if error.status_code != HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            raise
        detail = f"A picture has at most {MAX_PICTURE_BYTES:,} bytes."
        raise PictureTooLarge(detail, max_bytes=MAX_PICTURE_BYTES) from error
    for media_type in PICTURES:
        if matches_type(body[:HEAD_BYTES], len(body), media_type):
            return body, media_type
    raise InvalidPicture("Send the picture itself, a PNG or JPEG: no address is ever fetched.", field="body")


async def _view(state: State, garment: Garment) -> GarmentView:
    if garment.preview_key is None:
        return GarmentView.of(garment)
    try:
        signed = await state.store.signed_get_url(SOURCES.name, garment.preview_key, ttl=PREVIEW_LIFE)
    except ObjectNotFound:
        return GarmentView.of(garment)
    return GarmentView.of(garment, signed.url)
