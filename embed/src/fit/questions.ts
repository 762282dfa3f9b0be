import { ApiProblem } from "../api/problem";
import type { Facts, Sex, TapeName } from "../api/schema";
import { el } from "../dom";
import type { Screen } from "../page";
import { problemWords } from "../problem_words";
import type { Wording, WordKey } from "../words";
import { choice, FieldView, textInput } from "./fields";
import type { UnitSystem } from "./units";
import {
  convertDraft,
  type Draft,
  type Field,
  type Finding,
  RARE_TAPES,
  readDraft,
  TAPES,
  writeField,
} from "./validation";

/** Likely units are pointed out this long after the last key. */
const HINT_AFTER_MS = 450;

interface QuestionsOptions {
  words: Wording;
  draft: Draft;
  /** The measurement to begin at; the optional part is then open. */
  begin: TapeName | null;
  onStart: () => void;
  /** Rejects with `ApiProblem`; the form then says what is wrong and keeps what was typed. */
  onSubmit: (facts: Facts, optional: string[]) => Promise<void>;
  onBack?: (() => void) | undefined;
}

/** S1: height, weight, body shape; the rest folded away. */
export function questionsScreen(options: QuestionsOptions): Screen {
  return new Questions(options).screen;
}

class Questions {
  readonly screen: Screen;
  readonly #options: QuestionsOptions;
  readonly #fields = new Map<Field, FieldView>();
  readonly #form: HTMLFormElement;
  readonly #body = el("div", { class: "form__body" });
  readonly #submit: HTMLButtonElement;
  readonly #problem = el("p", { class: "form__problem", attributes: { role: "alert" } });
  readonly #stop = new AbortController();
  #hintTimer: ReturnType<typeof setTimeout> | undefined;
  /** What was put off while a finger or button is down: a line that appears would move the target away under it. */
  #afterPress: (() => void) | null = null;
  #isPressing = false;
  #hasStarted = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    const { words } = options;
    const heading = el("h1", { text: words.text("questions.title") });
    this.#submit = el("button", {
      class: "button button--primary button--wide",
      text: words.text("questions.submit"),
      attributes: { type: "submit" },
    });
    this.#form = el(
      "form",
      {
        class: "form",
        attributes: { novalidate: true },
        on: {
          submit: (event) => this.#send(event),
          input: () => this.#typed(),
          focusout: (event) => this.#left(event),
        },
      },
      this.#body,
      this.#problem,
      this.#submit,
    );
    this.#draw();
    const lead = el("p", { class: "lead", text: words.text("questions.lead") });
    const element = el("div", { class: "column" }, heading, lead, this.#form);
    this.#followPresses();
    const dispose = (): void => {
      clearTimeout(this.#hintTimer);
      this.#stop.abort();
    };
    const begin = options.begin ? this.#fields.get(options.begin)?.input : undefined;
    this.screen = { name: "questions", element, heading, begin, onBack: options.onBack, dispose };
  }

  #draw(): void {
    const { words, draft } = this.#options;
    this.#fields.clear();
    const weightUnit = words.text(draft.units === "metric" ? "unit.kg" : "unit.lb");
    this.#body.replaceChildren(
      this.#unitSwitch(),
      draft.units === "metric" ? this.#heightInCm() : this.#heightInFeet(),
      this.#number("weight", "questions.weight", weightUnit, draft.weight, (typed) => {
        draft.weight = typed;
      }),
      this.#shape(),
      this.#more(),
    );
    this.#fields.get("weight")?.explain(words.text("questions.weight.hint"));
  }

  #unitSwitch(): HTMLElement {
    const { words, draft } = this.#options;
    const choices: UnitSystem[] = ["metric", "imperial"];
    return choice("units", words.text("questions.units"), "choice--small", choices, draft.units, {
      label: (units) => words.text(`questions.units.${units}`),
      onPick: (units) => this.#changeUnits(units),
    });
  }

  #heightInCm(): HTMLElement {
    const { words, draft } = this.#options;
    return this.#number("height", "questions.height", words.text("unit.cm"), draft.height, (typed) => {
      draft.height = typed;
    });
  }

  #heightInFeet(): HTMLElement {
    const { words, draft } = this.#options;
    const feet = textInput("feet", draft.feet, (typed) => {
      draft.feet = typed;
    });
    const inches = textInput("inches", draft.inches, (typed) => {
      draft.inches = typed;
    });
    feet.setAttribute("aria-label", words.text("questions.height.ft"));
    inches.setAttribute("aria-label", words.text("questions.height.in"));
    const view = new FieldView([feet, inches], [words.text("unit.ft"), words.text("unit.in")], "fieldset");
    view.title(words.text("questions.height"));
    this.#fields.set("height", view);
    return view.element;
  }

  #shape(): HTMLElement {
    const { words, draft } = this.#options;
    const shapes: Sex[] = ["female", "male", "unspecified"];
    const hint = words.text("questions.shape.hint");
    return choice("shape", words.text("questions.shape"), "", shapes, draft.sex, {
      label: (sex) => words.text(`questions.shape.${sex}`),
      onPick: (sex) => {
        draft.sex = sex;
      },
      hint,
    });
  }

  #more(): HTMLElement {
    const { words, draft, begin } = this.#options;
    const unit = words.text(draft.units === "metric" ? "unit.cm" : "unit.in");
    const isShown = (name: TapeName): boolean =>
      !RARE_TAPES.includes(name) || name === begin || draft.tape[name] !== "";
    const tapes = TAPES.filter(isShown).map((name) =>
      this.#number(name, `questions.tape.${name}`, unit, draft.tape[name], (typed) => {
        draft.tape[name] = typed;
      }),
    );
    const age = this.#number("age", "questions.age", words.text("unit.years"), draft.age, (typed) => {
      draft.age = typed;
    });
    const isOpen =
      begin !== null || draft.age !== "" || Object.values(draft.tape).some((typed) => typed !== "");
    return el(
      "details",
      { class: "fold", attributes: { open: isOpen } },
      el("summary", { text: words.text("questions.more") }),
      el("p", { class: "hint", text: words.text("questions.more.lead") }),
      el("div", { class: "form__grid" }, ...tapes, age),
    );
  }

  #number(
    field: Field,
    label: WordKey,
    unit: string,
    value: string,
    onType: (typed: string) => void,
  ): HTMLElement {
    const view = new FieldView([textInput(field, value, onType)], [unit], "div");
    view.title(this.#options.words.text(label));
    this.#fields.set(field, view);
    return view.element;
  }

  #typed(): void {
    if (!this.#hasStarted) this.#options.onStart();
    this.#hasStarted = true;
    clearTimeout(this.#hintTimer);
    this.#hintTimer = setTimeout(() => this.#whenReleased(() => this.#review("suggestions")), HINT_AFTER_MS);
  }

  #followPresses(): void {
    const { signal } = this.#stop;
    document.addEventListener(
      "pointerdown",
      () => {
        this.#isPressing = true;
      },
      { signal },
    );
    for (const type of ["pointerup", "pointercancel"] as const) {
      // One turn later, when the click has been delivered.
      document.addEventListener(type, () => setTimeout(() => this.#release(), 0), { signal });
    }
  }

  #release(): void {
    this.#isPressing = false;
    this.#afterPress?.();
    this.#afterPress = null;
  }

  #whenReleased(act: () => void): void {
    if (this.#isPressing) this.#afterPress = act;
    else act();
  }

  #left(event: FocusEvent): void {
    for (const [field, view] of this.#fields) {
      if (view.holds(event.target) && !view.holds(event.relatedTarget)) {
        this.#whenReleased(() => this.#review("all", field));
      }
    }
  }

  /** Say what is to be said: while typing only likely units, on leaving a field all of it. */
  #review(what: "suggestions" | "all", only: Field | null = null): void {
    const { findings } = readDraft(this.#options.draft, this.#options.words);
    for (const [field, view] of this.#fields) {
      const finding = findings.find((candidate) => candidate.field === field);
      const isSaid = finding && (finding.suggestion || (what === "all" && view.isTouched));
      if (isSaid && (!only || field === only || finding.suggestion)) this.#say(view, finding);
      else if (!finding) view.clear();
    }
  }

  #say(view: FieldView, finding: Finding): void {
    const { words, draft } = this.#options;
    const { suggestion } = finding;
    const use = suggestion && {
      text: words.text("hint.use", { value: suggestion.text }),
      onPress: () => {
        writeField(draft, finding.field, suggestion.value);
        this.#draw();
        this.#fields.get(finding.field)?.focus();
      },
    };
    view.say(finding.text, finding.isBlocking, use);
  }

  #changeUnits(units: UnitSystem): void {
    convertDraft(this.#options.draft, units);
    this.#draw();
    this.#body.querySelector<HTMLElement>(`input[value="${units}"]`)?.focus();
  }

  async #send(event: Event): Promise<void> {
    event.preventDefault();
    clearTimeout(this.#hintTimer);
    for (const view of this.#fields.values()) view.isTouched = true;
    this.#review("all");
    const { draft, words, onSubmit } = this.#options;
    const { facts, findings } = readDraft(draft, words);
    if (!facts) {
      this.#reveal(findings.find(({ isBlocking }) => isBlocking)?.field);
      return;
    }
    this.#setBusy(true);
    try {
      await onSubmit(facts, optionalAnswers(facts));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#setBusy(false);
    if (!(error instanceof ApiProblem)) throw error;
    this.#problem.textContent = problemWords(error, this.#options.words);
  }

  #setBusy(isBusy: boolean): void {
    const { words } = this.#options;
    this.#problem.textContent = "";
    this.#submit.disabled = isBusy;
    this.#submit.textContent = words.text(isBusy ? "questions.working" : "questions.submit");
  }

  #reveal(field: Field | undefined): void {
    const view = field && this.#fields.get(field);
    const fold = view?.element.closest("details");
    if (fold) fold.open = true;
    view?.focus();
  }
}

function optionalAnswers(facts: Facts): string[] {
  const given = [
    facts.weightKg !== null && "weight",
    facts.sex !== "unspecified" && "sex",
    facts.age !== null && "age",
  ];
  return [
    ...given.filter((name) => name !== false),
    ...Object.keys(facts.tapeCm).map((name) => `tape_${name}`),
  ];
}
