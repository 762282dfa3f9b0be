import { beforeEach, describe, expect, it, vi } from "vitest";
import { Shop } from "./shop";

const SHOP = "https://shop.example";

/** Two windows and the messages between them. */
class Windows {
  readonly self = new EventTarget() as unknown as Window;
  readonly sent: [unknown, string][] = [];
  readonly parent = { postMessage: (data: unknown, origin: string) => this.sent.push([data, origin]) };
  readonly shop = new Shop({ self: this.self, parent: this.parent as unknown as Window, origin: SHOP });

  receive(data: unknown, { origin = SHOP, source = this.parent as unknown } = {}): void {
    const event = Object.assign(new Event("message"), { data, origin, source });
    this.self.dispatchEvent(event);
  }
}

describe("the link to the store page", () => {
  let windows: Windows;
  const opened = { v: 1, type: "tryon:opened" };

  beforeEach(() => {
    windows = new Windows();
    windows.shop.connect();
  });

  it("sends to the exact origin, with the version", () => {
    windows.shop.send("tryon:session", { session: "s" });
    expect(windows.sent).toEqual([[{ v: 1, type: "tryon:session", session: "s" }, SHOP]]);
  });

  it("hears the store page alone", () => {
    const heard = vi.fn();
    windows.shop.on("tryon:opened", heard);
    windows.receive(opened, { origin: "https://shop.example.evil.example" });
    windows.receive(opened, { source: {} });
    windows.receive({ v: 1, type: "tryon:opened-not" });
    expect(heard).not.toHaveBeenCalled();
    windows.receive(opened);
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it("hears nothing after unsubscribing or disconnecting", () => {
    const heard = vi.fn();
    windows.shop.on("tryon:opened", heard)();
    windows.receive(opened);
    windows.shop.on("tryon:opened", heard);
    windows.shop.disconnect();
    windows.receive(opened);
    expect(heard).not.toHaveBeenCalled();
  });

  it("waits for the answer that matches, and no longer than asked", async () => {
    vi.useFakeTimers();
    const id = "0190b8f0-1111-7000-8000-000000000001";
    const answer = windows.shop.next("tryon:cart", 1000, (message) => message.id === id);
    windows.receive({ v: 1, type: "tryon:cart", id: id.replace("1111", "2222"), ok: true });
    windows.receive({ v: 1, type: "tryon:cart", id, ok: false, code: "failed" });
    expect(await answer).toMatchObject({ ok: false, code: "failed" });
    const none = windows.shop.next("tryon:code", 1000);
    vi.advanceTimersByTime(1000);
    expect(await none).toBeNull();
    vi.useRealTimers();
  });
});
