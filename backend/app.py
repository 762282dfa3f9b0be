"""The service, put together: the only list of features, ports and settings."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from backend.avatars.controller import AvatarController, ConsentController
from backend.brands.service import BrandKeys
from backend.core import auth, headers, problems, schema
from backend.core.clock import Clock, SystemClock
from backend.core.db import Database, provide_session
from backend.core.folder_store import FolderStore
from backend.core.health import HealthController
from backend.core.logging import RequestLog
from backend.core.object_routes import ObjectController
from backend.core.object_tokens import ObjectSigner
from backend.core.storage import ObjectStore
from backend.embed.controller import EmbedController
from backend.embed.files import FrontEnd
from backend.events.controller import AnalyticsController, EventController
from backend.garments.controller import GarmentController
from backend.settings import Settings
from backend.shoppers.controller import ShopperTokenController
from backend.shoppers.erasures import Eraser
from backend.shoppers.service import ShopperTokens
from backend.tryons.controller import TryonController
from backend.tryons.service import OpenSessions

MAX_BODY_BYTES = 25_000_000
"""Two photos of 10 MB and their form; the routes that take less say so themselves."""

FEATURES = (
    HealthController,
    ObjectController,
    ShopperTokenController,
    ConsentController,
    GarmentController,
    AvatarController,
    TryonController,
    EventController,
    AnalyticsController,
    EmbedController,
)


def create_app(settings: Settings, *, clock: Clock | None = None, store: ObjectStore | None = None) -> Litestar:
    """Ports left out are the real ones of this machine; tests hand in their own."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, clock, pooled_by_transaction=settings.database_pooler == "transaction")
    store = store or FolderStore(settings.objects_dir, settings.public_base_url, settings.storage_signing_key, clock)
    open_sessions = OpenSessions(clock)
    return Litestar(
        FEATURES,
        plugins=[problems.plugin()],
        dependencies={
            "db_session": Provide(provide_session),
            "brand": Provide(auth.provide_brand),
            "shopper": Provide(auth.provide_shopper),
            "principal": Provide(auth.provide_principal),
        },
        middleware=[RequestLog()],
        before_send=[headers.add_security_headers],
        lifespan=[_closing(database, store)],
        logging_config=None,
        openapi_config=schema.openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        state=State(
            {
                "settings": settings,
                "clock": clock,
                "database": database,
                "store": store,
                "object_signer": ObjectSigner(settings.storage_signing_key),
                "brand_keys": BrandKeys(database, clock),
                "shopper_tokens": ShopperTokens(database, clock, settings.token_signing_key),
                "front_end": FrontEnd(settings.embed_dist_dir),
                "eraser": Eraser(database, store, clock),
                "wake": _nothing,
                "avatar_listeners": (open_sessions.avatar_changed,),
                "garment_listeners": (open_sessions.garment_changed,),
            }
        ),
    )


def _closing(database: Database, store: ObjectStore) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None, None]:
        await store.check()
        try:
            yield
        finally:
            await store.close()
            await database.close()

    return lifespan


async def _nothing() -> None:
    pass
