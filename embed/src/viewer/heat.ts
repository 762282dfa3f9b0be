interface Stop {
  easeCm: number;
  colour: readonly [number, number, number];
}

const TIGHTEST: Stop = { easeCm: -6, colour: [0x8f, 0x2d, 0x14] };
const ROOMIEST: Stop = { easeCm: 26, colour: [0x23, 0x46, 0x6e] };
/** Room between body and cloth all round, in cm, and its colour as sRGB; between two stops colours are mixed. */
export const HEAT_STOPS: readonly Stop[] = [
  TIGHTEST,
  { easeCm: 0, colour: [0xd9, 0x8a, 0x3a] },
  { easeCm: 6, colour: [0xe9, 0xe4, 0xd2] },
  { easeCm: 14, colour: [0x6f, 0x9c, 0xc9] },
  ROOMIEST,
];

/** Red, green and blue in 0..1, linear, as the renderer takes vertex colours. */
export function heatColour(easeCm: number): [number, number, number] {
  const upper = HEAT_STOPS.find((stop) => stop.easeCm >= easeCm) ?? ROOMIEST;
  const lower = HEAT_STOPS.findLast((stop) => stop.easeCm < upper.easeCm) ?? TIGHTEST;
  const width = upper.easeCm - lower.easeCm;
  const share = width > 0 ? Math.min(1, (easeCm - lower.easeCm) / width) : 0;
  const mixed = (channel: 0 | 1 | 2): number =>
    linear(lower.colour[channel] + share * (upper.colour[channel] - lower.colour[channel]));
  return [mixed(0), mixed(1), mixed(2)];
}

/** Where a number stands on the bar of colours: tight at 0, roomy at 100. */
export function heatPlacePercent(easeCm: number): number {
  return Math.round((100 * (easeCm - TIGHTEST.easeCm)) / (ROOMIEST.easeCm - TIGHTEST.easeCm));
}

/** The same stops as a CSS gradient. */
export function heatGradient(direction: string): string {
  const stops = HEAT_STOPS.map(
    ({ easeCm, colour }) => `rgb(${colour.join(" ")}) ${heatPlacePercent(easeCm)}%`,
  );
  return `linear-gradient(${direction}, ${stops.join(", ")})`;
}

function linear(level: number): number {
  const share = level / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}
