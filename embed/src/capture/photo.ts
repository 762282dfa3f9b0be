import { el } from "../dom";
import type { Screen } from "../page";
import type { Wording } from "../words";
import { guidance } from "./guidance";
import { PhotoUnreadable, type PreparedPhoto, preparePhoto } from "./photo_file";

/** After this many refusals the flow offers to stop; nobody is pushed a third time. */
const REFUSALS_BEFORE_STOP = 2;

export interface Photos {
  front: PreparedPhoto | null;
  side: PreparedPhoto | null;
}

export type Slot = keyof Photos;

interface PhotoOptions {
  words: Wording;
  photos: Photos;
  /** Why the last photo was not used, in our words. */
  refusal: string | null;
  refusals: number;
  hasCamera: boolean;
  onCamera: (slot: Slot) => void;
  onRefusedHere: (code: string) => void;
  onSend: (front: Blob, side: Blob | null) => void;
  onStop: () => void;
}

/** S5: how to stand, a camera or a file for the front, then optionally for the side. */
export function photoScreen(options: PhotoOptions): Screen {
  return new PhotoChoice(options).screen;
}

class PhotoChoice {
  readonly screen: Screen;
  readonly #options: PhotoOptions;
  readonly #body = el("div", { class: "photo" });
  readonly #message: HTMLElement;
  readonly #previews: string[] = [];

  constructor(options: PhotoOptions) {
    this.#options = options;
    const { words, refusal, onStop } = options;
    const heading = el("h1", { text: words.text("photo.title") });
    this.#message = el("p", { class: "form__problem", attributes: { role: "alert" }, text: refusal ?? "" });
    const element = el("div", { class: "column" }, heading, this.#message, this.#stopOffer(), this.#body);
    this.screen = { name: "photo", element, heading, onBack: onStop, dispose: () => this.#freePreviews() };
    this.#draw();
  }

  #stopOffer(): HTMLElement | null {
    const { words, refusals, onStop } = this.#options;
    if (refusals < REFUSALS_BEFORE_STOP) return null;
    const stop = el("button", {
      class: "button button--primary",
      text: words.text("photo.stop.button"),
      attributes: { type: "button" },
      on: { click: onStop },
    });
    return el("div", { class: "card card--quiet" }, el("p", { text: words.text("photo.stop") }), stop);
  }

  #draw(): void {
    const { words, photos } = this.#options;
    this.#freePreviews();
    if (!photos.front) {
      this.#body.replaceChildren(guidance(words), this.#sources("front", true));
      return;
    }
    const side = photos.side
      ? [this.#preview("side", photos.side)]
      : [
          el("h2", { class: "section-title", text: words.text("photo.side") }),
          el("p", { class: "hint", text: words.text("photo.side.lead") }),
          this.#sources("side", false),
        ];
    this.#body.replaceChildren(this.#preview("front", photos.front), this.#send(), ...side);
  }

  #send(): HTMLElement {
    const { words, photos, onSend } = this.#options;
    return el("button", {
      class: "button button--primary button--wide",
      text: words.text(photos.side ? "photo.send_both" : "photo.send"),
      attributes: { type: "button", "data-action": "send" },
      on: { click: () => photos.front && onSend(photos.front.file, photos.side?.file ?? null) },
    });
  }

  #sources(slot: Slot, isPrimary: boolean): HTMLElement {
    const { words, hasCamera, refusals, onCamera } = this.#options;
    const emphasis = isPrimary && refusals < REFUSALS_BEFORE_STOP ? " button--primary" : "";
    const camera = el("button", {
      class: `button${emphasis}`,
      text: words.text("photo.camera"),
      attributes: { type: "button" },
      on: { click: () => onCamera(slot) },
    });
    const input = el("input", {
      class: "visually-hidden file__input",
      attributes: { type: "file", accept: "image/jpeg,image/png,image/webp", name: `photo_${slot}` },
      on: { change: () => void this.#take(slot, input.files?.[0]) },
    });
    const file = el(
      "label",
      { class: `button file${hasCamera ? "" : emphasis}` },
      input,
      el("span", { text: words.text("photo.file") }),
    );
    return el("div", { class: "actions" }, hasCamera ? camera : null, file);
  }

  async #take(slot: Slot, file: File | undefined): Promise<void> {
    if (!file) return;
    const { words, photos, onRefusedHere } = this.#options;
    this.#message.textContent = words.text("photo.preparing");
    try {
      photos[slot] = await preparePhoto(file);
      this.#message.textContent = "";
      this.#draw();
      this.#body.querySelector<HTMLElement>("[data-action=send]")?.focus();
    } catch (error) {
      if (!(error instanceof PhotoUnreadable)) throw error;
      this.#message.textContent = words.text("refused.photo_unreadable");
      onRefusedHere("photo_unreadable");
    }
  }

  #preview(slot: Slot, photo: PreparedPhoto): HTMLElement {
    const { words, photos } = this.#options;
    const address = URL.createObjectURL(photo.file);
    this.#previews.push(address);
    const { width, height } = photo.size;
    const again = el("button", {
      class: "button button--small",
      text: words.text("photo.again"),
      attributes: { type: "button" },
      on: {
        click: () => {
          photos[slot] = null;
          this.#draw();
        },
      },
    });
    return el(
      "figure",
      { class: "photo__preview" },
      el("img", { attributes: { src: address, alt: words.text("photo.preview"), width, height } }),
      el(
        "figcaption",
        {},
        el("strong", { text: words.text(slot === "front" ? "photo.front" : "photo.side") }),
        photo.hint ? el("p", { class: "hint", text: words.text(`photo.hint.${photo.hint}`) }) : null,
        again,
      ),
    );
  }

  #freePreviews(): void {
    for (const address of this.#previews.splice(0)) URL.revokeObjectURL(address);
  }
}
