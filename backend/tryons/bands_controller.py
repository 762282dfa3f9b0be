# No `from __future__ import annotations` here: Litestar reads annotations at run time.
from litestar import Controller, get, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from backend.core.auth import BRAND_SECURITY, BrandContext, brand_only
from backend.core.problems import InvalidRequest, Unauthorized, refusals
from backend.tryons.own_bands import OwnBands
from backend.tryons.schemas import BandsList, BandsView
from backend.tryons.service import TryonService


class BandsController(Controller):
    path = "/v1/fit-bands"
    guards = [brand_only]  # noqa: RUF012  Litestar's own form
    security = BRAND_SECURITY
    tags = ["garments"]  # noqa: RUF012

    @get(operation_id="list_fit_bands", responses=refusals(Unauthorized))
    async def list_fit_bands(
        self, db_session: NamedDependency[AsyncSession], state: State, brand: NamedDependency[BrandContext]
    ) -> BandsList:
        """What the brand has set itself; all else is judged by our defaults."""
        return BandsList(await OwnBands(db_session, state.clock).all(brand.brand_id))

    @put(operation_id="put_fit_bands", responses=refusals(Unauthorized, InvalidRequest))
    async def put_fit_bands(
        self,
        db_session: NamedDependency[AsyncSession],
        state: State,
        brand: NamedDependency[BrandContext],
        data: JSONBody[BandsView],
    ) -> BandsList:
        """Replaces what was set for this category, fabric and kind of chart; open try-on sessions are judged anew."""
        own = OwnBands(db_session, state.clock)
        tryons = TryonService(db_session, state.clock)
        for garment in await own.put(brand.brand_id, data):
            await tryons.judge_garment(garment)
        return BandsList(await own.all(brand.brand_id))
