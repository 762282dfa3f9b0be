import { svg } from "../dom";

/** A plain standing outline, shown until there is a figure: one drawing for everyone. */
export function placeholder(): SVGElement {
  const limb = { "stroke-linecap": "round", "stroke-linejoin": "round", fill: "none" };
  return svg(
    "svg",
    { class: "figure__placeholder", viewBox: "0 0 120 240", "aria-hidden": "true", focusable: "false" },
    svg("ellipse", { class: "figure__ground", cx: 60, cy: 229, rx: 34, ry: 5 }),
    svg("circle", { class: "figure__shape", cx: 60, cy: 24, r: 13 }),
    svg("path", {
      class: "figure__shape",
      d: "M55 38h10v8c10 1 18 4 20 12 2 9-3 17-5 27 0 8 3 16 4 26 0 8-3 13-4 24l-4 88h-11l-3-84h-4l-3 84H44l-4-88c-1-11-4-16-4-24 1-10 4-18 4-26-2-10-7-18-5-27 2-8 10-11 20-12z",
    }),
    svg("path", { class: "figure__limb", d: "M38 56c-8 22-12 42-17 66M82 56c8 22 12 42 17 66", ...limb }),
  );
}
