import { el, newId } from "../dom";

interface Suggestion {
  text: string;
  onPress: () => void;
}

/** A label, one or two inputs with their units, and a line for what is to be said. */
export class FieldView {
  readonly element: HTMLElement;
  isTouched = false;
  readonly #inputs: HTMLInputElement[];
  readonly #message = el("p", {
    class: "field__message",
    attributes: { id: newId("message"), "aria-live": "polite" },
  });
  readonly #hint = el("p", { class: "hint", attributes: { id: newId("hint"), hidden: true } });
  readonly #isGroup: boolean;

  constructor(inputs: HTMLInputElement[], units: string[], tag: "div" | "fieldset") {
    this.#inputs = inputs;
    this.#isGroup = tag === "fieldset";
    const boxes = inputs.map((input, index) =>
      el(
        "span",
        { class: "field__box" },
        input,
        el("span", { class: "field__unit", text: units[index] ?? "" }),
      ),
    );
    for (const input of inputs) {
      input.setAttribute("aria-describedby", `${this.#message.id} ${this.#hint.id}`);
      input.addEventListener("change", () => {
        this.isTouched = true;
      });
    }
    this.element = el(
      tag,
      { class: "field" },
      el("span", { class: "field__boxes" }, ...boxes),
      this.#message,
      this.#hint,
    );
  }

  title(text: string): void {
    const title = this.#isGroup
      ? el("legend", { class: "field__label", text })
      : el("label", { class: "field__label", text, attributes: { for: this.#inputs[0]?.id ?? "" } });
    this.element.prepend(title);
  }

  explain(text: string): void {
    this.#hint.textContent = text;
    this.#hint.hidden = false;
  }

  say(text: string, isBlocking: boolean, suggestion: Suggestion | null): void {
    const use = suggestion
      ? [
          el("button", {
            class: "button button--small",
            text: suggestion.text,
            attributes: { type: "button" },
            on: { click: suggestion.onPress },
          }),
        ]
      : [];
    this.#message.replaceChildren(el("span", { text }), ...use);
    this.#message.classList.toggle("field__message--wrong", isBlocking);
    for (const input of this.#inputs) input.setAttribute("aria-invalid", String(isBlocking));
  }

  clear(): void {
    this.#message.replaceChildren();
    for (const input of this.#inputs) input.removeAttribute("aria-invalid");
  }

  get input(): HTMLInputElement | undefined {
    return this.#inputs[0];
  }

  focus(): void {
    this.input?.focus();
  }

  holds(target: EventTarget | null): boolean {
    return target instanceof Node && this.element.contains(target);
  }
}

export function textInput(name: string, value: string, onType: (typed: string) => void): HTMLInputElement {
  const input = el("input", {
    class: "field__input",
    attributes: { type: "text", inputmode: "decimal", autocomplete: "off", name, id: newId("input") },
  });
  input.value = value;
  input.addEventListener("input", () => onType(input.value));
  return input;
}

interface ChoiceOptions<T extends string> {
  label: (value: T) => string;
  onPick: (value: T) => void;
  hint?: string;
}

/** A few exclusive answers side by side: native radio buttons, so that arrow keys work. */
export function choice<T extends string>(
  name: string,
  title: string,
  modifier: string,
  values: T[],
  picked: T | null,
  { label, onPick, hint }: ChoiceOptions<T>,
): HTMLElement {
  const options = values.map((value) => {
    const input = el("input", {
      class: "choice__input",
      attributes: { type: "radio", name, value, checked: value === picked },
      on: { change: () => onPick(value) },
    });
    return el(
      "label",
      { class: "choice__option" },
      input,
      el("span", { class: "choice__label", text: label(value) }),
    );
  });
  return el(
    "fieldset",
    { class: `choice ${modifier}` },
    el("legend", { class: "field__label", text: title }),
    el("div", { class: "choice__options" }, ...options),
    hint ? el("p", { class: "hint", text: hint }) : null,
  );
}
