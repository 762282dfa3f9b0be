import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Dressed, dressings } from "./dressing";
import { ApiProblem } from "./problem";
import type { FitResult, TryonSession } from "./schema";

const FIT: FitResult = {
  decision: "none_fits",
  recommended_size: null,
  between: null,
  confidence: 0,
  sizes: [],
  measure_next: null,
  notes: [],
};

const session = (facts: Partial<TryonSession>): TryonSession => ({
  id: "s1",
  garment_id: "g1",
  selected_size: null,
  fit_result: FIT,
  dressing: null,
  garment_glb_url: null,
  is_dressing: true,
  dressing_error: null,
  ...facts,
});

const draft = (signature = "1", isDressing = true): TryonSession =>
  session({ dressing: "draft", garment_glb_url: `/g/draft.glb?token=${signature}`, is_dressing: isDressing });
const final = session({ dressing: "final", garment_glb_url: "/g/final.glb?token=9", is_dressing: false });

/** What is shown when the session reads like this, one answer after the other; the last one stays. */
async function shownFor(answers: (TryonSession | ApiProblem)[], forMs = 100_000): Promise<Dressed[]> {
  const readSession = async (): Promise<TryonSession> => {
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (!answer || answer instanceof ApiProblem) throw answer;
    return answer;
  };
  const shown: Dressed[] = [];
  const following = (async () => {
    for await (const dressed of dressings({ readSession }, "s1", new AbortController().signal))
      shown.push(dressed);
  })();
  following.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(forMs);
  await following;
  return shown;
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("the pictures of a garment", () => {
  it("come as draft and then as final, each once, whoever signs the address anew", async () => {
    const queued = session({ dressing: "queued" });
    const shown = await shownFor([session({}), queued, draft("1"), draft("2"), final, final]);
    expect(shown.map(({ path }) => path)).toEqual(["/g/draft.glb", "/g/final.glb"]);
  });

  it("stop at the draft when the polished one has failed", async () => {
    expect(await shownFor([draft("1"), draft("1", false)])).toHaveLength(1);
  });

  it("are not waited for where there is a reason for none", async () => {
    const refused = session({ is_dressing: false, dressing_error: { code: "does_not_fit" } });
    expect(await shownFor([refused], 1)).toEqual([]);
  });

  it("are waited for some seconds where the order has yet to follow the figure", async () => {
    const notYet = session({ is_dressing: false });
    expect(await shownFor([...Array<TryonSession>(8).fill(notYet), final])).toHaveLength(1);
    expect(await shownFor([notYet])).toEqual([]);
  });

  it("go on after an answer that did not come, and end with one that never will", async () => {
    expect(await shownFor([ApiProblem.offline(), final])).toHaveLength(1);
    await expect(shownFor([new ApiProblem(404, "not_found")])).rejects.toThrow(ApiProblem);
  });
});
