import type { Api } from "./api/client";
import type { EventQueue } from "./api/events";
import type { ErasureReceipt, Facts, FitResult, TapeName } from "./api/schema";
import { cameraScreen } from "./capture/camera";
import { consentScreen } from "./capture/consent";
import { type Photos, photoScreen, type Slot } from "./capture/photo";
import { PhotoUnreadable, preparePhoto } from "./capture/photo_file";
import { type ProgressScreen, progressScreen } from "./capture/progress";
import { cartView, type Product } from "./cart";
import { answerScreen } from "./fit/answer";
import { changeWords, fitWords, sizeNamed } from "./fit/answer_words";
import { offerFor } from "./fit/more_help";
import { questionsScreen } from "./fit/questions";
import { unitsOf } from "./fit/units";
import { type Draft, emptyDraft } from "./fit/validation";
import { Fitting, type PhotoOutcome } from "./fitting";
import { Page, type Screen } from "./page";
import { myDataScreen } from "./privacy/my_data";
import type { Shop } from "./shop";
import { FigurePanel } from "./viewer/panel";
import type { Wording } from "./words";

export interface FlowOptions {
  root: HTMLElement;
  words: Wording;
  api: Api;
  shop: Shop;
  events: EventQueue;
  product: Product;
}

/** The one place that says which screen follows which. */
export class Flow {
  readonly #options: FlowOptions;
  readonly #page: Page;
  readonly #fitting: Fitting;
  readonly #startedMs = Date.now();
  #draft: Draft;
  #photos: Photos = { front: null, side: null };
  /** What the last photo changed, until the answers change. */
  #news: string[] = [];
  #refusal: string | null = null;
  #figure: FigurePanel | null = null;
  #isFigureWanted = false;
  /** Bumped when the shopper moves on, so that a late outcome does not pull them back. */
  #photoTurn = 0;

  constructor(options: FlowOptions) {
    this.#options = options;
    const { root, words, api, events, product } = options;
    this.#page = new Page(root, words, { onMyData: () => this.#showMyData() });
    this.#fitting = new Fitting(api, events, product.productId);
    this.#draft = emptyDraft(unitsOf([words.tag, ...navigator.languages]));
  }

  start(): void {
    this.opened();
    this.#showQuestions();
  }

  /** The shopper pressed the button on the page: the first time, or again after closing. */
  opened(): void {
    this.#options.events.record("widget_opened", { product_id: this.#options.product.productId });
    if (this.#page.screenName === "data") this.#showAnswer();
  }

  /** The dialog was closed around us; what was answered stays. */
  closed(): void {
    const screen = this.#page.screenName;
    this.#options.events.record("widget_closed", { screen, duration_ms: Date.now() - this.#startedMs });
    void this.#options.events.flush(true);
  }

  #show(screen: Screen): void {
    if (this.#page.screenName === "answer") this.#closeFigure();
    this.#page.show(screen);
  }

  #showQuestions(begin: TapeName | null = null): void {
    const { words, events } = this.#options;
    const startedMs = Date.now();
    const screen = questionsScreen({
      words,
      draft: this.#draft,
      begin,
      onStart: () => events.record("questionnaire_started", {}),
      onSubmit: async (facts, optional) => {
        const duration_ms = Date.now() - startedMs;
        const unit_system = this.#draft.units;
        events.record("questionnaire_completed", { optional_answers: optional, unit_system, duration_ms });
        await this.#submit(facts);
      },
      onBack: this.#fitting.answer ? () => this.#showAnswer() : undefined,
    });
    this.#show(screen);
  }

  async #submit(facts: Facts): Promise<void> {
    const { session, avatar } = await this.#fitting.submit(facts);
    this.#news = [];
    this.#options.shop.send("tryon:session", { session: session.id });
    const { best } = offerFor(session.fit_result, avatar.evidence, this.#fitting.taped);
    this.#options.events.record("evidence_offered", { best });
    this.#showAnswer();
  }

  #showAnswer(): void {
    const { answer, selectedSize } = this.#fitting;
    if (!answer) {
      this.#showQuestions();
      return;
    }
    const { words, shop, events, product } = this.#options;
    const { fit_result: fit, id } = answer.session;
    this.#closeFigure();
    const figure = this.#openFigure(fit);
    const cart = selectedSize
      ? cartView({ words, shop, events, product, fit, session: id, size: selectedSize })
      : null;
    const screen = answerScreen({
      words,
      units: this.#draft.units,
      avatar: answer.avatar,
      fit,
      selectedSize,
      taped: this.#fitting.taped,
      news: this.#fitting.photoWork ? [this.#measuringWords()] : this.#news,
      figure: figure.element,
      cart,
      onPick: (size) => {
        figure.showSize(size);
        void this.#fitting.selectSize(size).then((isHeard) => (isHeard ? figure.follow() : undefined));
      },
      onPhoto: () => this.#showConsentOrPhoto(),
      onTape: (name) => this.#showQuestions(name),
      onChange: () => this.#showQuestions(),
      announce: (text) => this.#page.announce(text),
    });
    this.#page.show({ ...screen, onBack: () => this.#showQuestions() });
  }

  #openFigure(fit: FitResult): FigurePanel {
    const { words, api, events } = this.#options;
    this.#figure = new FigurePanel({
      words,
      units: this.#draft.units,
      api,
      events,
      build: () => {
        this.#isFigureWanted = true;
        return this.#fitting.buildFigure();
      },
      dressings: (signal) => this.#fitting.dressings(signal),
      size: this.#fitting.selectedSize,
      fitOf: (name) => {
        const size = sizeNamed(fit, name);
        return size ? fitWords(size, words) : "";
      },
    });
    if (this.#isFigureWanted) void this.#figure.open();
    return this.#figure;
  }

  #closeFigure(): void {
    this.#figure?.dispose();
    this.#figure = null;
  }

  #showConsentOrPhoto(): void {
    if (this.#fitting.hasConsented) {
      this.#openPhoto();
      return;
    }
    this.#show(
      consentScreen({
        words: this.#options.words,
        onAgree: () => {
          this.#fitting.hasConsented = true;
          this.#openPhoto();
        },
        onDecline: () => this.#showAnswer(),
      }),
    );
  }

  #openPhoto(): void {
    void this.#options.api.openPhotoScreen();
    this.#showPhoto();
  }

  #showPhoto(): void {
    const { words, events } = this.#options;
    this.#show(
      photoScreen({
        words,
        photos: this.#photos,
        refusal: this.#refusal,
        refusals: this.#fitting.refusals,
        hasCamera: Boolean(navigator.mediaDevices?.getUserMedia),
        onCamera: (slot) => this.#showCamera(slot),
        onRefusedHere: (code) => events.record("photo_refused", { code, where: "device" }),
        onSend: (front, side) => void this.#measure(front, side),
        onStop: () => this.#showAnswer(),
      }),
    );
  }

  #showCamera(slot: Slot): void {
    const { words } = this.#options;
    this.#show(
      cameraScreen({
        words,
        onPhoto: (photo) => void this.#keepPhoto(slot, photo),
        onLeave: (isUnavailable) => {
          this.#refusal = isUnavailable ? words.text("camera.unavailable") : null;
          this.#showPhoto();
        },
        announce: (text) => this.#page.announce(text),
      }),
    );
  }

  async #keepPhoto(slot: Slot, photo: Blob): Promise<void> {
    this.#refusal = null;
    try {
      this.#photos[slot] = await preparePhoto(photo);
    } catch (error) {
      if (!(error instanceof PhotoUnreadable)) throw error;
      this.#refusal = this.#options.words.text("camera.unavailable");
    }
    this.#showPhoto();
  }

  async #measure(front: Blob, side: Blob | null): Promise<void> {
    this.#photoTurn += 1;
    const turn = this.#photoTurn;
    const { words } = this.#options;
    const screen = this.#showProgress();
    const outcome = await this.#fitting.measurePhoto(front, side, words.tag, (work) => screen.follow(work));
    this.#photos = { front: null, side: null };
    this.#settle(outcome, turn === this.#photoTurn && this.#page.screenName === "progress");
  }

  #showProgress(): ProgressScreen {
    const { words } = this.#options;
    const size = this.#fitting.fit?.recommended_size ?? null;
    const screen = progressScreen({ words, size, onLeave: () => this.#showAnswer() });
    this.#show(screen);
    return screen;
  }

  /** The outcome of a photo; whoever left the progress screen finds it in the answer. */
  #settle(outcome: PhotoOutcome, isWaiting: boolean): void {
    const { words } = this.#options;
    if (outcome.kind === "measured") {
      this.#refusal = null;
      const shown = ({ avatar, session }: typeof outcome.now) => ({ avatar, fit: session.fit_result });
      this.#news = [changeWords(shown(outcome.before), shown(outcome.now), words), ...this.#flagWords()];
      this.#isFigureWanted = true;
    } else {
      const text =
        outcome.kind === "refused" ? this.#refusalWords(outcome.code) : words.text("error.photo_down");
      this.#refusal = text;
      this.#news = [text];
    }
    this.#page.announce(this.#news.join(" "));
    if (isWaiting && outcome.kind === "refused") this.#showPhoto();
    else if (isWaiting || this.#page.screenName === "answer") this.#showAnswer();
  }

  /** For whoever went back to the size while a photo is being measured. */
  #measuringWords(): string {
    const { words } = this.#options;
    const size = this.#fitting.fit?.recommended_size;
    const kept = size ? ` ${words.text("progress.keep", { size })}` : "";
    return `${words.text("progress.title")}.${kept}`;
  }

  #flagWords(): string[] {
    const { words } = this.#options;
    const flags = this.#fitting.answer?.avatar.flags ?? [];
    return flags.flatMap((flag) => words.find("flag", flag) ?? []);
  }

  #refusalWords(code: string): string {
    const { words } = this.#options;
    const why = words.find("refused", code) ?? words.text("refused.photo_unreadable");
    return `${why} ${words.text("refused.keep")}`;
  }

  #showMyData(): void {
    const { words } = this.#options;
    this.#show(
      myDataScreen({
        words,
        hasData: this.#fitting.answer !== null,
        erase: () => this.#forget(() => this.#fitting.erase()),
        withdraw: this.#fitting.consentId ? () => this.#forget(() => this.#fitting.withdrawConsent()) : null,
        onBack: () => this.#showAnswer(),
        onAgain: () => this.#showQuestions(),
      }),
    );
  }

  async #forget(erase: () => Promise<ErasureReceipt>): Promise<ErasureReceipt> {
    const receipt = await erase();
    this.#draft = emptyDraft(this.#draft.units);
    this.#photos = { front: null, side: null };
    this.#news = [];
    this.#refusal = null;
    this.#isFigureWanted = false;
    this.#photoTurn += 1;
    return receipt;
  }
}
