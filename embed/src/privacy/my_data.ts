import { ApiProblem } from "../api/problem";
import type { ErasureReceipt } from "../api/schema";
import { el } from "../dom";
import type { Screen } from "../page";
import { problemWords } from "../problem_words";
import type { Wording } from "../words";

interface MyDataOptions {
  words: Wording;
  /** Something of the shopper is stored. */
  hasData: boolean;
  erase: () => Promise<ErasureReceipt>;
  /** Null where no photo was ever sent. */
  withdraw: (() => Promise<ErasureReceipt>) | null;
  onBack: () => void;
  onAgain: () => void;
}

/** What can be confirmed. */
type What = "delete" | "withdraw";

/** S10: what is stored, and one press to delete it. */
export function myDataScreen(options: MyDataOptions): Screen {
  const { words, hasData, onBack, onAgain } = options;
  const heading = el("h1", { text: words.text("data.title") });
  const body = el("div", { class: "stack" });
  let isErased = false;
  if (hasData) {
    showStored(body, options, () => {
      isErased = true;
    });
  } else body.append(el("p", { text: words.text("data.none") }));
  const element = el("div", { class: "column" }, heading, body);
  return { name: "data", element, heading, onBack: () => (isErased ? onAgain() : onBack()) };
}

function showStored(body: HTMLElement, options: MyDataOptions, onErased: () => void): void {
  const { words, erase, withdraw } = options;
  const kept = (["data.facts", "data.figure", "data.photo"] as const).map((key) =>
    el("li", { text: words.text(key) }),
  );
  const problem = el("p", { class: "form__problem", attributes: { role: "alert" } });
  const run = async (act: typeof erase): Promise<void> => {
    problem.textContent = words.text("data.deleting");
    try {
      const receipt = await act();
      onErased();
      showReceipt(body, receipt, options);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      problem.textContent = problemWords(error, words);
    }
  };
  const button = (what: What, act: typeof erase): HTMLElement =>
    el("button", {
      class: "button button--danger",
      text: words.text(`data.${what}`),
      attributes: { type: "button", "data-action": what },
      on: {
        click: () => {
          const dialog = confirmation(words, what, () => void run(act));
          dialog.addEventListener("close", () => dialog.remove());
          body.append(dialog);
          dialog.showModal();
        },
      },
    });
  body.replaceChildren(
    el("h2", { class: "section-title", text: words.text("data.stored") }),
    el("ul", { class: "list" }, ...kept),
    el("p", { text: words.text("data.until") }),
    el("div", { class: "actions" }, button("delete", erase), withdraw && button("withdraw", withdraw)),
    problem,
  );
}

/** One press, one confirmation that says what this press does. */
function confirmation(words: Wording, what: What, onYes: () => void): HTMLDialogElement {
  const dialog: HTMLDialogElement = el(
    "dialog",
    { class: "confirm", attributes: { "aria-label": words.text(`data.${what}`) } },
    el("p", { text: words.text(`data.${what}.confirm`) }),
    el(
      "div",
      { class: "actions" },
      el("button", {
        class: "button button--danger",
        text: words.text(`data.${what}.yes`),
        attributes: { type: "button", "data-action": "confirm" },
        on: {
          click: () => {
            dialog.close();
            onYes();
          },
        },
      }),
      el("button", {
        class: "button",
        text: words.text("data.confirm.no"),
        attributes: { type: "button" },
        on: { click: () => dialog.close() },
      }),
    ),
  );
  return dialog;
}

function showReceipt(body: HTMLElement, receipt: ErasureReceipt, { words, onAgain }: MyDataOptions): void {
  const said = receipt.done_at
    ? words.text("data.deleted", { time: words.time(new Date(receipt.done_at)) })
    : words.text("data.deleted.working");
  body.replaceChildren(
    el("p", { class: "news", text: said, attributes: { role: "status" } }),
    el("p", { class: "hint", text: words.text("data.deleted.rest") }),
    el(
      "div",
      { class: "actions" },
      downloadLink(receipt, words),
      el("button", {
        class: "button button--primary",
        text: words.text("data.again"),
        attributes: { type: "button" },
        on: { click: onAgain },
      }),
    ),
  );
}

function downloadLink(receipt: ErasureReceipt, words: Wording): HTMLElement {
  return el("button", {
    class: "button",
    text: words.text("data.receipt"),
    attributes: { type: "button" },
    on: {
      click: () => {
        const file = new Blob([JSON.stringify(receipt, null, 2)], { type: "application/json" });
        const address = URL.createObjectURL(file);
        const link = el("a", { attributes: { href: address, download: "tryon-receipt.json" } });
        link.click();
        URL.revokeObjectURL(address);
      },
    },
  });
}
