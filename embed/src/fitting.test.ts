import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Api } from "./api/client";
import { EventQueue } from "./api/events";
import { ApiProblem } from "./api/problem";
import type { Avatar, Facts, TryonSession } from "./api/schema";
import { Fitting, type PhotoOutcome } from "./fitting";

const FACTS: Facts = { heightCm: 178, weightKg: 74, sex: "male", age: null, tapeCm: {} };

/** The API as this shopper's server answers it: readings in turn, the last one stays. */
class Answers {
  readings: (Partial<Avatar> | ApiProblem)[] = [{ status: "ready" }];
  photo: Partial<Avatar> | ApiProblem = { status: "pending" };
  recommended = "M";

  readonly api = {
    createAvatar: async () => this.#avatar({ status: "pending" }),
    createSession: async () => this.#session(),
    readSession: async () => this.#session(),
    addPhoto: async () => this.#avatar(this.photo),
    readAvatar: async () =>
      this.#avatar((this.readings.length > 1 ? this.readings.shift() : this.readings[0]) ?? {}),
  } as unknown as Api;

  #avatar(facts: Partial<Avatar> | ApiProblem): Avatar {
    if (facts instanceof ApiProblem) throw facts;
    return { id: "a1", error: null, flags: [], evidence: [], measurements: {}, ...facts } as Avatar;
  }

  #session(): TryonSession {
    const fit_result = { recommended_size: this.recommended, sizes: [] };
    return { id: "s1", fit_result } as unknown as TryonSession;
  }
}

async function fittingWith(answers: Answers): Promise<Fitting> {
  const fitting = new Fitting(answers.api, new EventQueue(async () => undefined), "7001");
  await fitting.submit(FACTS);
  return fitting;
}

async function sendPhoto(fitting: Fitting): Promise<PhotoOutcome> {
  const outcome = fitting.measurePhoto(new Blob(["f"]), null, "en", () => undefined);
  await vi.advanceTimersByTimeAsync(30_000);
  return outcome;
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("a photo that is measured", () => {
  it("brings a new answer and selects its size", async () => {
    const answers = new Answers();
    const fitting = await fittingWith(answers);
    answers.readings = [{ status: "processing" }, { status: "ready" }];
    answers.recommended = "L";
    const outcome = await sendPhoto(fitting);
    expect(outcome).toMatchObject({
      kind: "measured",
      before: { session: { fit_result: { recommended_size: "M" } } },
      now: { session: { fit_result: { recommended_size: "L" } } },
    });
    expect(fitting.selectedSize).toBe("L");
    expect(fitting.photoWork).toBeNull();
  });
});

describe("a photo that is not", () => {
  it.each([
    [
      "by the worker",
      (answers: Answers) => {
        answers.readings = [{ status: "ready", error: { code: "photo_cropped" } }];
      },
    ],
    [
      "at the door",
      (answers: Answers) => {
        answers.photo = new ApiProblem(413, "photo_cropped");
      },
    ],
  ])("refused %s leaves the answer standing and is counted", async (_, prepare) => {
    const answers = new Answers();
    const fitting = await fittingWith(answers);
    prepare(answers);
    answers.recommended = "L";
    expect(await sendPhoto(fitting)).toEqual({ kind: "refused", code: "photo_cropped" });
    expect(fitting.refusals).toBe(1);
    expect(fitting.fit?.recommended_size).toBe("M");
  });

  it("that had to wait too long counts against nobody", async () => {
    const answers = new Answers();
    answers.readings = [{ status: "ready", error: { code: "photo_gone" } }];
    const fitting = await fittingWith(answers);
    expect(await sendPhoto(fitting)).toEqual({ kind: "refused", code: "photo_gone" });
    expect(fitting.refusals).toBe(0);
  });

  it.each([
    [
      "a worker that is down",
      { readings: [{ status: "ready", error: { code: "internal" } }] as Partial<Avatar>[] },
    ],
    ["a server that is down", { photo: new ApiProblem(503, "unavailable") }],
  ])("because of %s counts against nobody", async (_, facts) => {
    const answers = Object.assign(new Answers(), facts);
    const fitting = await fittingWith(answers);
    expect(await sendPhoto(fitting)).toMatchObject({ kind: "unavailable" });
    expect(fitting.refusals).toBe(0);
  });
});
