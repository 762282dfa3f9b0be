/** The parts of the public contract (v1) that the frame uses. Centimetres and kilograms. */

export type Sex = "female" | "male" | "unspecified";
export type TapeName = "chest_cm" | "waist_cm" | "hip_cm" | "inseam_cm" | "thigh_cm" | "upper_arm_cm";

export interface Facts {
  heightCm: number;
  weightKg: number | null;
  sex: Sex;
  age: number | null;
  tapeCm: Partial<Record<TapeName, number>>;
}

export const STAGES = ["received", "checking", "measuring", "building", "saving"] as const;
export type Stage = (typeof STAGES)[number];
export type AvatarStatus = "pending" | "processing" | "ready" | "failed";

export interface Quantity {
  mean: number;
  sd: number;
}

export interface Avatar {
  id: string;
  status: AvatarStatus;
  stage: Stage | null;
  measurements: Record<string, Quantity>;
  evidence: string[];
  /** Short-lived and signed; asked for anew when it has run out. */
  glb_url: string | null;
  /** A refusal of the last photo, or why there is no mesh. */
  error: { code: string } | null;
  /** Of the last photo, such as `loose_clothing`. */
  flags: string[];
  /** What the photo rests on, once there was one. */
  consent_id: string | null;
}

export type Verdict = "too_tight" | "snug" | "regular" | "loose" | "too_loose";

export interface RegionFit {
  region: string;
  ease_cm: number;
  sd: number;
  verdict: Verdict;
}

export interface SizeFit {
  size: string;
  probability: number;
  regions: RegionFit[];
}

export type Decision = "one" | "between" | "unsure" | "none_fits";

export interface FitResult {
  decision: Decision;
  recommended_size: string | null;
  between: [string, string] | null;
  confidence: number;
  sizes: SizeFit[];
  /** The measurement that would help most, by its wire name; only while `unsure`. */
  measure_next: string | null;
  /** Codes, some with a region: `region_missing:hip`. */
  notes: string[];
}

export interface TryonSession {
  id: string;
  garment_id: string;
  selected_size: string | null;
  fit_result: FitResult;
  /** How far the picture is: asked for, by geometry, with the looked-at size as draped cloth. Null: none so far. */
  dressing: Dressing | null;
  /** All sizes in one file. Short-lived and signed; another picture has another path. */
  garment_glb_url: string | null;
  /** Work is under way that will change the picture. */
  is_dressing: boolean;
  /** Why there is no picture. */
  dressing_error: { code: string } | null;
}

export type Dressing = "queued" | "draft" | "final";

/** What stays of an erasure; `done_at` is null while files are still being deleted. */
export interface ErasureReceipt {
  id: string;
  requested_at: string;
  done_at: string | null;
  receipts: unknown[];
  not_covered: unknown;
}
