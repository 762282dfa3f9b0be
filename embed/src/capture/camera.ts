import { el } from "../dom";
import type { Screen } from "../page";
import type { Wording } from "../words";
import { outline } from "./guidance";

/** Long enough to walk three metres and stand still. */
const COUNTDOWN_S = 10;
const SPOKEN_FROM_S = 3;
const TONE_HZ = 660;
const SHUTTER_HZ = 990;
const TONE_S = 0.12;
const JPEG_QUALITY = 0.95;

interface CameraOptions {
  words: Wording;
  onPhoto: (photo: Blob) => void;
  /** No camera, no permission, or the shopper went back. */
  onLeave: (isUnavailable: boolean) => void;
  announce: (text: string) => void;
}

type Facing = "user" | "environment";

/** The camera with an outline to stand in and a self-timer that can be heard from three metres away. */
export function cameraScreen(options: CameraOptions): Screen {
  return new Camera(options).screen;
}

class Camera {
  readonly screen: Screen;
  readonly #options: CameraOptions;
  readonly #video: HTMLVideoElement;
  readonly #count = el("p", { class: "camera__count", attributes: { "aria-hidden": "true" } });
  readonly #start: HTMLButtonElement;
  #stream: MediaStream | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #sound: AudioContext | null = null;
  #facing: Facing = "user";
  #isDisposed = false;

  constructor(options: CameraOptions) {
    this.#options = options;
    const { words } = options;
    const heading = el("h1", { class: "visually-hidden", text: words.text("camera.title") });
    this.#video = el("video", {
      class: "camera__video",
      attributes: { playsinline: true, muted: true, "aria-label": words.text("camera.view") },
    });
    this.#video.muted = true;
    this.#start = el("button", {
      class: "button button--primary",
      text: words.text("camera.start"),
      attributes: { type: "button", disabled: true },
      on: { click: () => (this.#timer ? this.#cancel() : this.#countDown()) },
    });
    const other = el("button", {
      class: "button",
      text: words.text("camera.switch"),
      attributes: { type: "button" },
      on: { click: () => void this.#switch() },
    });
    const stage = el(
      "div",
      { class: "camera__stage" },
      this.#video,
      outline() as unknown as HTMLElement,
      this.#count,
    );
    const lead = el("p", { class: "lead", text: words.text("camera.lead") });
    const element = el(
      "div",
      { class: "camera" },
      heading,
      lead,
      stage,
      el("div", { class: "actions" }, this.#start, other),
    );
    const onBack = (): void => options.onLeave(false);
    this.screen = { name: "camera", element, heading, onBack, dispose: () => this.#dispose() };
    void this.#open();
  }

  async #open(): Promise<void> {
    try {
      const wanted = { facingMode: this.#facing, width: { ideal: 1080 }, height: { ideal: 1920 } };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: wanted });
      if (this.#isDisposed) return stopStream(stream);
      this.#stream = stream;
      this.#video.srcObject = stream;
      this.#video.classList.toggle("camera__video--mirrored", this.#facing === "user");
      await this.#video.play();
      this.#start.disabled = false;
    } catch {
      if (!this.#isDisposed) this.#options.onLeave(true);
    }
  }

  async #switch(): Promise<void> {
    this.#cancel();
    stopStream(this.#stream);
    this.#start.disabled = true;
    this.#facing = this.#facing === "user" ? "environment" : "user";
    await this.#open();
  }

  #countDown(): void {
    const { words } = this.#options;
    this.#sound ??= new AudioContext();
    this.#start.textContent = words.text("camera.cancel");
    let leftS = COUNTDOWN_S;
    const tick = (): void => {
      this.#count.textContent = leftS > 0 ? words.number(leftS) : "";
      if (leftS === 0) {
        this.#beep(SHUTTER_HZ);
        void this.#take();
        return;
      }
      this.#beep(TONE_HZ);
      if (leftS === COUNTDOWN_S || leftS <= SPOKEN_FROM_S) this.#speak(leftS);
      leftS -= 1;
    };
    this.#timer = setInterval(tick, 1000);
    tick();
  }

  #speak(seconds: number): void {
    const { words } = this.#options;
    if (!("speechSynthesis" in window)) return;
    const said = new SpeechSynthesisUtterance(words.text("camera.countdown", { count: seconds }));
    said.lang = words.tag;
    speechSynthesis.speak(said);
  }

  #beep(frequencyHz: number): void {
    const sound = this.#sound;
    if (!sound) return;
    const tone = new OscillatorNode(sound, { frequency: frequencyHz });
    const volume = new GainNode(sound, { gain: 0.15 });
    tone.connect(volume).connect(sound.destination);
    tone.start();
    tone.stop(sound.currentTime + TONE_S);
  }

  #cancel(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#count.textContent = "";
    this.#start.textContent = this.#options.words.text("camera.start");
  }

  /** Unmirrored, whatever the preview shows. */
  async #take(): Promise<void> {
    this.#cancel();
    const canvas = el("canvas");
    canvas.width = this.#video.videoWidth;
    canvas.height = this.#video.videoHeight;
    canvas.getContext("2d")?.drawImage(this.#video, 0, 0);
    const photo = await new Promise<Blob | null>((resolve) =>
      canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY),
    );
    this.#options.announce(this.#options.words.text("camera.taken"));
    if (photo) this.#options.onPhoto(photo);
    else this.#options.onLeave(true);
  }

  #dispose(): void {
    this.#isDisposed = true;
    this.#cancel();
    stopStream(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
    void this.#sound?.close();
  }
}

function stopStream(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
