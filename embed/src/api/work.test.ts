import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiProblem } from "./problem";
import type { Avatar, AvatarStatus } from "./schema";
import { Work } from "./work";

const avatar = (status: AvatarStatus, stage: Avatar["stage"] = null): Avatar => ({
  id: "a1",
  status,
  stage,
  measurements: {},
  evidence: [],
  glb_url: null,
  error: null,
  flags: [],
  consent_id: null,
});

/** The avatar as it is read each time; a problem is thrown, the last one stays. */
function makeWork(readings: (Avatar | ApiProblem)[]): { work: Work; readAtMs: number[] } {
  const readAtMs: number[] = [];
  const startedMs = Date.now();
  const readAvatar = async (): Promise<Avatar> => {
    readAtMs.push(Date.now() - startedMs);
    const reading = readings.length > 1 ? readings.shift() : readings[0];
    if (!reading || reading instanceof ApiProblem) throw reading;
    return reading;
  };
  return { work: new Work({ readAvatar }, avatar("pending")), readAtMs };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("an avatar under way", () => {
  it("is asked for often at first, and less and less often", async () => {
    const { work, readAtMs } = makeWork([
      ...Array.from({ length: 7 }, () => avatar("processing")),
      avatar("ready"),
    ]);
    await vi.advanceTimersByTimeAsync(20_000);
    expect((await work.done).status).toBe("ready");
    const pauses = readAtMs.map((at, i) => at - (readAtMs[i - 1] ?? 0));
    expect(pauses).toEqual([60, 72, 86, 104, 124, 149, 179, 215].map((ms) => expect.closeTo(ms, -1)));
  });

  it("is asked for again as soon as a slow answer is there, which is an old one", async () => {
    const askedAtMs: number[] = [];
    const startedMs = Date.now();
    const readAvatar = async (): Promise<Avatar> => {
      askedAtMs.push(Date.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, 400));
      return avatar(askedAtMs.length < 3 ? "processing" : "ready");
    };
    const work = new Work({ readAvatar }, avatar("pending"));
    await vi.advanceTimersByTimeAsync(5000);
    expect((await work.done).status).toBe("ready");
    expect(askedAtMs).toEqual([60, 480, 900]);
  });

  it("tells its stages to whoever looks, until they look away", async () => {
    const { work } = makeWork([
      avatar("processing", "measuring"),
      avatar("processing", "saving"),
      avatar("ready"),
    ]);
    const seen: (string | null)[] = [];
    const stop = work.subscribe(({ stage }) => seen.push(stage));
    await vi.advanceTimersByTimeAsync(100);
    stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(seen).toEqual([null, "measuring"]);
  });

  it("survives a line that drops, not an avatar that is gone", async () => {
    const { work } = makeWork([ApiProblem.offline(), new ApiProblem(503, "unavailable"), avatar("ready")]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await work.done).status).toBe("ready");
    const gone = makeWork([new ApiProblem(404, "avatar_not_found")]);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(gone.work.done).rejects.toMatchObject({ code: "avatar_not_found" });
  });

  it("is given up after five minutes", async () => {
    const { work } = makeWork([avatar("pending")]);
    await vi.advanceTimersByTimeAsync(310_000);
    await expect(work.done).rejects.toMatchObject({ code: "timeout" });
  });
});
