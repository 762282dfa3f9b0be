import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EventQueue } from "./events";
import { ApiProblem } from "./problem";

type Sent = { ids: string[]; isLast: boolean };

/** A queue and what arrived; `answers` are thrown in turn, then all is taken. */
function makeQueue(answers: (ApiProblem | null)[] = []): { queue: EventQueue; sent: Sent[] } {
  const sent: Sent[] = [];
  const queue = new EventQueue(async (events, isLast) => {
    sent.push({ ids: events.map(({ id }) => id), isLast });
    const answer = answers.shift();
    if (answer) throw answer;
  });
  return { queue, sent };
}

const record = (queue: EventQueue, times = 1): void => {
  for (let i = 0; i < times; i += 1) queue.record("view_failed", { code: "no_webgl" });
};

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("the event queue", () => {
  it("waits five seconds for company", async () => {
    const { queue, sent } = makeQueue();
    record(queue, 3);
    await vi.advanceTimersByTimeAsync(4999);
    expect(sent).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent.map(({ ids }) => ids.length)).toEqual([3]);
  });

  it("goes at once when twenty are waiting", async () => {
    const { queue, sent } = makeQueue();
    record(queue, 20);
    await vi.advanceTimersByTimeAsync(0);
    expect(sent[0]?.ids).toHaveLength(20);
  });

  it("repeats with the same ids after a fault, and only what was not taken", async () => {
    const { queue, sent } = makeQueue([ApiProblem.offline(), new ApiProblem(503, "unavailable")]);
    record(queue, 2);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ ids }) => ids.join())).size).toBe(1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(sent).toHaveLength(3);
  });

  it("obeys Retry-After", async () => {
    const { queue, sent } = makeQueue([new ApiProblem(429, "slow_down", null, 30)]);
    record(queue);
    await vi.advanceTimersByTimeAsync(5000 + 29_999);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toHaveLength(2);
  });

  it("drops what the server will never take", async () => {
    const { queue, sent } = makeQueue([new ApiProblem(422, "invalid_request")]);
    record(queue);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(sent).toHaveLength(1);
  });

  it("sends what is left when the page goes", async () => {
    const { queue, sent } = makeQueue();
    record(queue);
    await queue.flush(true);
    expect(sent).toMatchObject([{ isLast: true }]);
  });

  it("gives each event a version 7 id, its time and the session it belongs to", async () => {
    const events: unknown[] = [];
    const queue = new EventQueue(async (batch) => void events.push(...batch));
    vi.setSystemTime(new Date("2026-11-21T12:00:00Z"));
    queue.sessionId = "0190b8f0-1111-7000-8000-000000000001";
    record(queue);
    await queue.flush();
    expect(events).toMatchObject([
      {
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        type: "view_failed",
        occurred_at: "2026-11-21T12:00:00.000Z",
        session_id: "0190b8f0-1111-7000-8000-000000000001",
      },
    ]);
  });
});
