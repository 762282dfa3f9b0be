"""Every trap of the storage server and of its client, each as a case. The contract itself is tested elsewhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from backend.core.storage import ByteRange as Part
from backend.core.storage import (
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    RangeNotSatisfiable,
    StorageError,
    StoreForbidden,
    StoreMisconfigured,
    StoreUnavailable,
    read,
)
from backend.core.supabase_store import SupabaseStore
from tests.fake_supabase_faults import RETRY_AFTER_S, Fault, FaultyWay
from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.fakes import HandClock
from tests.stores import PROJECT_KEY, PROJECT_URL, SUPABASE_URL, on_a_socket, supabase_on_fake

JSON = "application/json"
KEY = "b/u/a.json"
MEGABYTES_5 = b"1" * 5_000_000
TTL = timedelta(minutes=15)


@pytest.fixture
def server(clock: HandClock) -> FakeSupabaseStorage:
    return FakeSupabaseStorage(clock)


@pytest.fixture
async def stand(server: FakeSupabaseStorage, clock: HandClock) -> AsyncIterator[tuple[SupabaseStore, FaultyWay]]:
    store, way = await supabase_on_fake(server, clock)
    yield store, way
    await store.close()


@pytest.fixture
def store(stand: tuple[SupabaseStore, FaultyWay]) -> SupabaseStore:
    return stand[0]


@pytest.fixture
def way(stand: tuple[SupabaseStore, FaultyWay]) -> FaultyWay:
    return stand[1]


def with_key(server: FakeSupabaseStorage, clock: HandClock, key: str) -> SupabaseStore:
    way = FaultyWay(server)
    return SupabaseStore(SUPABASE_URL, key, clock, transport=way, pause=way.pause)


def test_a_real_project_is_in_the_suite() -> None:
    if not (PROJECT_URL and PROJECT_KEY):
        pytest.skip("NOT TESTED AGAINST A REAL PROJECT: SUPABASE_TEST_URL and SUPABASE_TEST_KEY are not set")


async def drain(opened: AsyncIterator[object]) -> list[object]:
    return [one async for one in opened]


Ask = Callable[[SupabaseStore], Awaitable[object]]
ASKS: dict[str, tuple[str, str, Ask]] = {
    "stat": ("GET", "/object/info/", lambda store: store.stat("avatars", KEY)),
    "open": ("GET", "/object/sign/", lambda store: read(store, "avatars", KEY)),
    "list": ("POST", "/object/list-v2/", lambda store: drain(store.list("avatars", ""))),
    "sign": ("POST", "/object/sign/", lambda store: store.signed_get_url("avatars", KEY, ttl=TTL)),
    "delete": ("DELETE", "/object/avatars", lambda store: store.delete("avatars", KEY)),
    "check": ("GET", "/bucket/", lambda store: store.check()),
}


class TestTryingAgain:
    @pytest.mark.parametrize("ask", ASKS)
    @pytest.mark.parametrize(
        "fault", ["refused connection", "slow connection", "hang", "cut off", "gateway page", "500", "429"]
    )
    async def test_passing_fault_is_not_seen(
        self, store: SupabaseStore, way: FaultyWay, ask: str, fault: Fault
    ) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        method, path, call = ASKS[ask]
        way.fail(method, path, fault, fault)
        await call(store)
        assert way.faults == []
        assert len(way.pauses_s) == 2

    @pytest.mark.parametrize("ask", ASKS)
    async def test_after_three_tries_it_is_said(self, store: SupabaseStore, way: FaultyWay, ask: str) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        way.seen.clear()
        method, path, call = ASKS[ask]
        way.fail(method, path, "hang", "hang", "hang", "hang")
        with pytest.raises(StoreUnavailable) as refusal:
            await call(store)
        assert not refusal.value.ambiguous
        assert way.count(method, path) == 3
        assert all(0 <= pause_s <= 2 for pause_s in way.pauses_s)

    @pytest.mark.parametrize("ask", ASKS)
    async def test_own_pool_being_full_is_not_answered_with_more_requests(
        self, store: SupabaseStore, way: FaultyWay, ask: str
    ) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        method, path, call = ASKS[ask]
        way.fail(method, path, "no free connection")
        with pytest.raises(StoreUnavailable):
            await call(store)
        assert way.pauses_s == []

    async def test_refusal_is_final(self, store: SupabaseStore, way: FaultyWay) -> None:
        with pytest.raises(ObjectNotFound):
            await store.stat("avatars", KEY)
        assert way.count("GET", "/object/info/") == 1

    async def test_server_says_how_long_to_wait(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        way.fail("GET", "/object/info/", "429")
        await store.stat("avatars", KEY)
        assert way.pauses_s[0] >= RETRY_AFTER_S

    async def test_redirect_is_not_followed_with_the_key(self, store: SupabaseStore, way: FaultyWay) -> None:
        way.fail("GET", "/bucket/", "redirect")
        with pytest.raises(StoreMisconfigured):
            await store.check()
        assert way.count("GET", "/bucket/") == 1

    async def test_every_request_has_its_own_limits_in_time(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        await read(store, "avatars", KEY)
        assert all(one.timeouts == {"connect": 3, "read": 20, "write": 30, "pool": 5} for one in way.seen)


class TestUpload:
    @pytest.mark.parametrize("fault", ["refused connection", "slow connection"])
    async def test_not_sent_is_sent_again(self, store: SupabaseStore, way: FaultyWay, fault: Fault) -> None:
        way.fail("POST", "/object/avatars/", fault, fault)
        await store.put("avatars", KEY, b"1", content_type=JSON)
        assert way.count("POST", "/object/avatars/") == 3

    async def test_lost_answer_is_looked_up_not_repeated(self, store: SupabaseStore, way: FaultyWay) -> None:
        way.fail("POST", "/object/avatars/", "answer lost")
        await store.put("avatars", KEY, b"1", content_type=JSON)
        assert way.count("POST", "/object/avatars/") == 1

    @pytest.mark.parametrize("fault", ["hang", "cut off", "500", "gateway page"])
    async def test_body_that_did_not_arrive_is_sent_once_more(
        self, store: SupabaseStore, way: FaultyWay, fault: Fault
    ) -> None:
        way.fail("POST", "/object/avatars/", fault)
        await store.put("avatars", KEY, b"1", content_type=JSON)
        assert way.count("POST", "/object/avatars/") == 2
        assert await read(store, "avatars", KEY) == b"1"

    async def test_twice_in_doubt_is_said_to_be_in_doubt(self, store: SupabaseStore, way: FaultyWay) -> None:
        way.fail("POST", "/object/avatars/", "hang", "hang")
        with pytest.raises(StoreUnavailable) as refusal:
            await store.put("avatars", KEY, b"1", content_type=JSON)
        assert refusal.value.ambiguous
        assert way.count("POST", "/object/avatars/") == 2

    async def test_another_writer_won_meanwhile(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, b"theirs", content_type=JSON)
        way.fail("POST", "/object/avatars/", "hang")
        with pytest.raises(ObjectExists):
            await store.put("avatars", KEY, b"mine", content_type=JSON)
        assert await read(store, "avatars", KEY) == b"theirs"

    async def test_what_cannot_be_looked_up_is_in_doubt(self, store: SupabaseStore, way: FaultyWay) -> None:
        way.fail("POST", "/object/avatars/", "answer lost")
        way.fail("GET", "/object/info/", "hang", "hang", "hang")
        with pytest.raises(StoreUnavailable) as refusal:
            await store.put("avatars", KEY, b"1", content_type=JSON)
        assert refusal.value.ambiguous

    async def test_lost_answer_of_overwriting(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, b"old", content_type=JSON)
        way.fail("POST", "/object/avatars/", "hang")
        await store.put("avatars", KEY, b"new", content_type=JSON, overwrite=True)
        assert await read(store, "avatars", KEY) == b"new"

    async def test_large_duplicate_is_refused_without_sending_it(self, store: SupabaseStore, way: FaultyWay) -> None:
        """The server would answer before it has read the body; the client would write until its time is up."""
        await store.put("avatars", KEY, b"1", content_type=JSON)
        way.seen.clear()
        with pytest.raises(ObjectExists):
            await store.put("avatars", KEY, MEGABYTES_5, content_type=JSON)
        assert max(one.sent_bytes for one in way.seen) < 10_000

    async def test_large_duplicate_that_slipped_in_is_found_out(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, MEGABYTES_5, content_type=JSON)
        server_object = way.server.objects.pop(("avatars", KEY))

        async def taken_meanwhile() -> AsyncIterator[bytes]:
            yield b"2" * 5_000_000

        way.before_upload = lambda: way.server.objects.update({("avatars", KEY): server_object})
        with pytest.raises(ObjectExists):
            await store.put("avatars", KEY, taken_meanwhile(), content_type=JSON)
        assert await read(store, "avatars", KEY) == MEGABYTES_5

    async def test_size_and_type_are_judged_before_sending(self, store: SupabaseStore, way: FaultyWay) -> None:
        for body, content_type in ((b"1" * 20_000_001, JSON), (b"<script>", "image/png"), (b"<svg/>", "image/svg+xml")):
            with pytest.raises(StorageError):
                await store.put("avatars", KEY, body, content_type=content_type)
        assert way.seen == []

    async def test_public_object_is_for_ever_and_private_is_not(
        self, store: SupabaseStore, server: FakeSupabaseStorage
    ) -> None:
        await store.put("garments", "b/g/x.png", b"\x89PNG\r\n\x1a\n....", content_type="image/png")
        await store.put("avatars", KEY, b"1", content_type=JSON)
        assert server.objects["garments", "b/g/x.png"].cache_control == "max-age=31536000, immutable"
        assert server.objects["avatars", KEY].cache_control == "max-age=0"


class TestWhatTheServerDoesNotSay:
    async def test_hidden_deletion_is_no_deletion(self, store: SupabaseStore, server: FakeSupabaseStorage) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        server.undeletable.add("avatars")
        with pytest.raises(StoreForbidden):
            await store.delete("avatars", KEY)
        with pytest.raises(StoreForbidden):
            await store.delete_prefix("avatars", "b/u/")

    async def test_long_list_is_followed_and_deleted_to_its_end(self, store: SupabaseStore) -> None:
        for number in range(250):
            await store.put("avatars", f"b/u/{number:03}.json", b"1", content_type=JSON)
        await store.put("avatars", "b/u2/a.json", b"1", content_type=JSON)
        assert len([one.key async for one in store.list("avatars", "b/u/")]) == 250
        assert await store.delete_prefix("avatars", "b/u/") == 250
        assert [one.key async for one in store.list("avatars", "")] == ["b/u2/a.json"]

    async def test_range_beyond_the_end_names_the_size(self, store: SupabaseStore) -> None:
        await store.put("avatars", KEY, b"0123456789", content_type=JSON)
        with pytest.raises(RangeNotSatisfiable) as refusal:
            await store.open("avatars", KEY, Part(10))
        assert refusal.value.size == 10

    async def test_upload_addresses_that_end_too_early_are_not_handed_out(self, clock: HandClock) -> None:
        store, _ = await supabase_on_fake(FakeSupabaseStorage(clock, upload_life_s=60), clock)
        with pytest.raises(StoreMisconfigured, match="live"):
            await store.signed_put_url("avatars", KEY, content_type=JSON, max_bytes=10, min_ttl=timedelta(minutes=30))
        await store.close()


class TestProject:
    async def test_buckets_are_made_as_declared_and_again(
        self, store: SupabaseStore, server: FakeSupabaseStorage
    ) -> None:
        assert set(server.buckets) == {"photos", "avatars", "garments", "sources"}
        assert {name for name, bucket in server.buckets.items() if bucket.public} == {"garments"}
        server.buckets["photos"].limit = 5
        assert await store.make_buckets() == [
            "photos: updated", "avatars: updated", "garments: updated", "sources: updated",
        ]  # fmt: skip
        await store.check()

    @pytest.mark.parametrize("bucket", ["photos", "avatars", "sources"])
    async def test_private_bucket_that_is_public_stops_the_start(
        self, store: SupabaseStore, server: FakeSupabaseStorage, bucket: str
    ) -> None:
        server.buckets[bucket].public = True
        with pytest.raises(StoreMisconfigured, match=f"{bucket} is public"):
            await store.check()

    async def test_missing_or_other_bucket_stops_the_start(
        self, store: SupabaseStore, server: FakeSupabaseStorage
    ) -> None:
        server.buckets["photos"].types = None
        with pytest.raises(StoreMisconfigured, match="photos"):
            await store.check()
        del server.buckets["photos"]
        with pytest.raises(StoreMisconfigured, match="tryon buckets"):
            await store.check()

    async def test_good_project_is_asked_again_after_five_minutes(
        self, store: SupabaseStore, way: FaultyWay, server: FakeSupabaseStorage, clock: HandClock
    ) -> None:
        await store.check()
        await store.check()
        assert way.count("GET", "/bucket/") == 4
        server.buckets["photos"].public = True
        clock.advance(minutes=5)
        for _ in range(2):
            with pytest.raises(StoreMisconfigured):
                await store.check()

    @pytest.mark.parametrize("kind", ["expired", "of another project", "not a token", "anon"])
    async def test_key_that_is_not_accepted_is_named_at_the_start(
        self, store: SupabaseStore, server: FakeSupabaseStorage, clock: HandClock, kind: str
    ) -> None:
        keys = {
            "expired": server.token(role="service_role", exp=server.now_s() - 1),
            "of another project": server.service_key[:-6] + "AAAAAA",
            "not a token": "sb_secret_0123456789",
            "anon": server.token(role="anon"),
        }
        stranger = with_key(server, clock, keys[kind])
        with pytest.raises(StoreMisconfigured, match="SUPABASE_SECRET_KEY"):
            await stranger.check()
        with pytest.raises((StoreForbidden, StoreMisconfigured)):
            await stranger.put("avatars", KEY, b"1", content_type=JSON)
        await stranger.close()

    async def test_limit_above_the_projects_own_is_explained(
        self, server: FakeSupabaseStorage, clock: HandClock
    ) -> None:
        server.global_limit = 1_000_000
        store = with_key(server, clock, server.service_key)
        with pytest.raises(StoreMisconfigured, match="global size limit"):
            await store.make_buckets()
        await store.close()


class TestSecrets:
    async def test_addresses_are_read_without_the_key(self, store: SupabaseStore, way: FaultyWay) -> None:
        await store.put("avatars", KEY, b"1", content_type=JSON)
        await read(store, "avatars", KEY)
        (reading,) = [one for one in way.seen if one.method == "GET" and "/object/sign/" in one.path]
        assert not {"authorization", "apikey"} & set(reading.headers)

    async def test_nothing_secret_is_logged_or_raised(
        self, store: SupabaseStore, way: FaultyWay, server: FakeSupabaseStorage, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await store.put("avatars", KEY, b"1", content_type=JSON)
        token = (await store.signed_get_url("avatars", KEY, ttl=TTL * 2)).url.partition("token=")[2]
        said = []
        for method, path, call in ASKS.values():
            faults: tuple[Fault, ...] = ("hang", "gateway page")
            for fault in faults:
                way.fail(method, path, fault, fault, fault)
                with pytest.raises(StorageError) as refusal:
                    await call(store)
                said += [str(one) for one in chain(refusal.value)]
        written = caplog.text + " ".join(said)
        for secret in (server.service_key, token, SUPABASE_URL, "token=", KEY):
            assert secret not in written


def chain(error: BaseException | None) -> list[BaseException]:
    """What a traceback would show."""
    if error is None:
        return []
    return [error, *chain(error.__cause__ or (None if error.__suppress_context__ else error.__context__))]


async def test_no_connection_carries_two_uploads(server: FakeSupabaseStorage, clock: HandClock) -> None:
    """A refused upload leaves its connection in the middle of a body: the next request on it would hang."""
    async with on_a_socket(server) as url:
        store = SupabaseStore(url, server.service_key, clock)
        await store.make_buckets()
        for number in range(3):
            await store.put("avatars", f"b/u/{number}.json", b"1", content_type=JSON)
        await store.close()
    uploads = [port for method, port in server.clients if method == "POST"][-3:]
    looks = {port for method, port in server.clients if method == "GET"}
    assert len(set(uploads)) == 3
    assert len(looks) == 1
    assert not looks & set(uploads)


async def test_twenty_uploads_at_once(store: SupabaseStore) -> None:
    await asyncio.gather(
        *(store.put("avatars", f"b/u/{number}.json", b"x" * 100_000, content_type=JSON) for number in range(20))
    )
    assert len([one async for one in store.list("avatars", "b/u/")]) == 20


async def test_too_large_a_body_says_so(store: SupabaseStore) -> None:
    with pytest.raises(ObjectTooLarge):
        await store.put("avatars", KEY, b"12345", content_type=JSON, max_bytes=4)
