import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Api } from "./client";
import { ApiProblem } from "./problem";

const LIFETIME_S = 900;
let issued = 0;

/** A token as the server makes it, as far as the frame looks into it. */
function makeToken(): string {
  issued += 1;
  const iat = Math.floor(Date.now() / 1000);
  return `h.${btoa(JSON.stringify({ iat, exp: iat + LIFETIME_S, jti: issued }))}.s`;
}

type Answer = () => Response | Promise<Response>;
const json =
  (body: unknown, init: ResponseInit = {}): Answer =>
  () =>
    Response.json(body, init);
const problem = (status: number, code: string, headers: HeadersInit = {}): Answer =>
  json({ code, title: "T", detail: "what the server wrote" }, { status, headers });
const offline: Answer = () => Promise.reject(new TypeError("network"));

/** The server: a list of answers for each path; `/embed/token` always has a fresh token. */
class Server {
  readonly requests: { path: string; init: RequestInit }[] = [];
  readonly exchanges: unknown[] = [];
  readonly waits: number[] = [];
  readonly #answers: Record<string, Answer[]>;
  readonly codes: (string | null)[];

  constructor(answers: Record<string, Answer[]>, codes: (string | null)[] = []) {
    this.#answers = answers;
    this.codes = codes;
  }

  readonly api = new Api("first-code", async () => this.codes.shift() ?? null, {
    sleep: async (ms) => void this.waits.push(ms),
    send: async (path, init) => {
      if (path === "/embed/token") {
        this.exchanges.push(JSON.parse(String(init.body)));
        const refused = this.#answers[path]?.shift();
        return refused ? refused() : Response.json({ token: makeToken(), origin: "https://shop.example" });
      }
      this.requests.push({ path, init });
      return (this.#answers[path]?.shift() ?? problem(404, "not_found"))();
    },
  });

  tokenOf(index: number): string | null {
    return new Headers(this.requests[index]?.init.headers).get("authorization");
  }
}

beforeEach(() => vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => vi.useRealTimers());

const AVATAR = "/v1/avatars/a1";

describe("the shopper's token", () => {
  it("comes from the one-use code, once for many requests", async () => {
    const server = new Server({ [AVATAR]: [json({ id: "a1" }), json({ id: "a1" })] });
    await Promise.all([server.api.readAvatar("a1"), server.api.readAvatar("a1")]);
    expect(server.exchanges).toEqual([{ code: "first-code" }]);
    expect(server.tokenOf(0)).toBe(server.tokenOf(1));
  });

  it("is renewed by itself a minute before it runs out", async () => {
    const server = new Server({ [AVATAR]: [json({}), json({}), json({})] });
    await server.api.readAvatar("a1");
    vi.advanceTimersByTime((LIFETIME_S - 61) * 1000);
    await server.api.readAvatar("a1");
    expect(server.exchanges).toHaveLength(1);
    vi.advanceTimersByTime(2000);
    await server.api.readAvatar("a1");
    expect(server.exchanges[1]).toEqual({ token: server.tokenOf(0)?.slice("Bearer ".length) });
  });

  it("that the server no longer takes is replaced by a new code from the store page", async () => {
    const server = new Server({ [AVATAR]: [problem(401, "unauthorized"), json({ id: "a1" })] }, [
      "second-code",
    ]);
    await expect(server.api.readAvatar("a1")).resolves.toEqual({ id: "a1" });
    expect(server.exchanges).toEqual([{ code: "first-code" }, { code: "second-code" }]);
  });

  it("that cannot be renewed any more is replaced in the same way", async () => {
    const answers = { [AVATAR]: [json({}), json({})], "/embed/token": [] as Answer[] };
    const server = new Server(answers, ["second-code"]);
    await server.api.readAvatar("a1");
    vi.advanceTimersByTime((LIFETIME_S - 30) * 1000);
    answers["/embed/token"].push(problem(401, "unauthorized"));
    await server.api.readAvatar("a1");
    expect(server.exchanges.at(-1)).toEqual({ code: "second-code" });
  });

  it("that nobody can replace ends the visit", async () => {
    const server = new Server({ [AVATAR]: [problem(401, "unauthorized")] });
    await expect(server.api.readAvatar("a1")).rejects.toMatchObject({ code: "session_ended" });
  });
});

describe("a request that fails", () => {
  it("is tried again after as long as the server asks", async () => {
    const busy = problem(503, "unavailable", { "retry-after": "2" });
    const server = new Server({ [AVATAR]: [busy, offline, problem(429, "slow_down"), json({ id: "a1" })] });
    await expect(server.api.readAvatar("a1")).resolves.toEqual({ id: "a1" });
    expect(server.waits).toEqual([2000, 1000, 2000]);
  });

  it("is given up when the wait would be too long", async () => {
    const server = new Server({ [AVATAR]: [problem(503, "unavailable", { "retry-after": "120" })] });
    await expect(server.api.readAvatar("a1")).rejects.toMatchObject({ retryAfterS: 120 });
    expect(server.requests).toHaveLength(1);
  });

  it("is given up after four tries without a line", async () => {
    const server = new Server({ [AVATAR]: [offline, offline, offline, offline] });
    await expect(server.api.readAvatar("a1")).rejects.toMatchObject({ code: "offline", status: 0 });
    expect(server.requests).toHaveLength(4);
  });

  it("for its own fault is not tried again, and tells its code and field", async () => {
    const body = { code: "invalid_height", field: "height_cm", detail: "…" };
    const server = new Server({ "/v1/avatars": [json(body, { status: 422 })] });
    const facts = { heightCm: 1.78, weightKg: null, sex: "unspecified", age: null, tapeCm: {} } as const;
    const error = await server.api.createAvatar(facts).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({ status: 422, code: "invalid_height", field: "height_cm" });
    expect(server.requests).toHaveLength(1);
  });

  it("with something else than problem details still has a code", async () => {
    const server = new Server({ [AVATAR]: [() => new Response("<html>", { status: 418 })] });
    await expect(server.api.readAvatar("a1")).rejects.toMatchObject({ code: "http_418" });
  });
});

describe("what is sent", () => {
  it("facts go as a form in centimetres and kilograms, without what was not answered", async () => {
    const server = new Server({ "/v1/avatars": [json({ id: "a1" })] });
    await server.api.createAvatar({
      heightCm: 178,
      weightKg: 74.5,
      sex: "male",
      age: null,
      tapeCm: { waist_cm: 84 },
    });
    const form = server.requests[0]?.init.body as FormData;
    expect(Object.fromEntries(form)).toEqual({
      height_cm: "178",
      weight_kg: "74.5",
      sex: "male",
      tape_waist_cm: "84",
    });
  });

  it("a photo goes with the version of the consent, in the language it was read in", async () => {
    const server = new Server({ [`${AVATAR}/photo`]: [json({ id: "a1" })] });
    const photo = { front: new Blob(["f"]), side: null, consentVersion: "1", locale: "fr" };
    await server.api.addPhoto("a1", photo);
    const init = server.requests[0]?.init ?? {};
    expect([...(init.body as FormData).keys()]).toEqual(["photo", "consent_version"]);
    expect(new Headers(init.headers).get("accept-language")).toBe("fr");
  });

  it("a mesh is fetched by its signed address without the token", async () => {
    const address = "https://objects.example/a.glb?token=t";
    const server = new Server({ [address]: [() => new Response(new Uint8Array([1, 2]))] });
    expect((await server.api.readMesh(address)).byteLength).toBe(2);
    expect(server.tokenOf(0)).toBeNull();
  });
});
