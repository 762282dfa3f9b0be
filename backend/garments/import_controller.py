# No `from __future__ import annotations` here: Litestar reads annotations at run time.
import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.problems import BodyTooLarge, Unauthorized, refusals
from backend.garments.csv_rows import MAX_FILE_BYTES, FileRefused, read_garments
from backend.garments.errors import ImportNotFound, InvalidFile
from backend.garments.imports import ImportService, ImportView


@dataclass
class TakesTable(Operation):
    """An operation whose body is a CSV file as it is."""

    def __post_init__(self) -> None:
        content = {"text/csv": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))}
        self.request_body = RequestBody(content=content, required=True)


class ImportController(Controller):
    path = "/v1/garments"
    guards = [brand_only]  # noqa: RUF012  Litestar's own form
    security = BRAND_SECURITY
    tags = ["garments"]  # noqa: RUF012

    @post(
        "/import",
        operation_id="import_garments",
        status_code=202,
        operation_class=TakesTable,
        request_max_body_size=MAX_FILE_BYTES,
        responses=refusals(Unauthorized, InvalidFile, BodyTooLarge),
    )
    async def import_garments(
        self,
        request: Request[Any, Any, Any],
        db_session: NamedDependency[AsyncSession],
        state: State,
        brand: NamedDependency[BrandContext],
    ) -> Response[ImportView]:
        """A line for each garment and size, joined by `external_id`. Worked off behind; the same file goes on."""
        try:
            file = await asyncio.to_thread(read_garments, await request.body())  # a large one takes two seconds
        except FileRefused as refused:
            raise InvalidFile(str(refused)) from refused
        except ClientException as error:
            if error.status_code != HTTP_413_REQUEST_ENTITY_TOO_LARGE:
                raise
            raise BodyTooLarge(f"A file has at most {MAX_FILE_BYTES:,} bytes; send it in parts.") from error
        row = await ImportService(db_session, state.clock).start(brand.brand_id, file)
        view = ImportView.of(row, state.clock.now())
        headers = {"Location": f"/v1/garments/imports/{row.id}"}
        return Response(view, status_code=202, headers=headers, background=BackgroundTask(state.wake))

    @get("/imports/{import_id:uuid}", operation_id="get_import", responses=refusals(Unauthorized, ImportNotFound))
    async def get_import(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        brand: NamedDependency[BrandContext],
        import_id: FromPath[UUID],
    ) -> ImportView:
        """How far it is, and what was wrong in which line."""
        row = await ImportService(db_session, state.clock).get(brand.brand_id, import_id)
        return ImportView.of(row, state.clock.now())
