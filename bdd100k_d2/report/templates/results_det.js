// The gallery of detections: boxes are drawn here, over the images, at the threshold of the slider.

const COLORS = {
  right: "#46d17f", classification: "#ffa928", localisation: "#4fb3ff", both: "#cf8bff", duplicate: "#ffee4d",
  background: "#ff5c5c", missed: "#ff5c5c", ignored: "#c8c8c8", confused: "#ffa928",
};
const OUTCOMES = { confused: "taken for another class or place" };
// COCO's sizes, in square pixels; a box of exactly 32 x 32 is both small and medium.
const SIZES = { small: [0, 32 ** 2], medium: [32 ** 2, 96 ** 2], large: [96 ** 2, Infinity] };

const state = { threshold: data.threshold, category: "", error: "", boxes: "", order: "errors", colors: "outcome" };

// Boxes as the page holds them are lists, see script_data.py.
const readTruth = ([category, x1, y1, x2, y2, flags]) => ({
  category, x1, y1, x2, y2, ignored: Boolean(flags & 1), occluded: Boolean(flags & 2), truncated: Boolean(flags & 4),
});
const readPredicted = ([category, x1, y1, x2, y2, score, outcome, truth, iou]) => ({
  category, x1, y1, x2, y2, score, outcome: data.outcomes[outcome], truth, iou,
});
for (const frame of data.frames) {
  frame.truth = frame.truth.map(readTruth);
  frame.runs = frame.runs.map((run) => ({
    predicted: run.predicted.map(readPredicted),
    truth: frame.truth.map((box, i) => ({ ...box, found: run.found[i], blamed: run.blamed[i] })),
  }));
}

function outcomeOf(box) {
  if (box.outcome !== undefined) {
    return box.outcome;
  }
  return box.ignored ? "ignored"
    : box.found !== null && box.found >= state.threshold ? "right"
      : box.blamed !== null && box.blamed >= state.threshold ? "confused" : "missed";
}

// A box that is taken for another class or place is that detection's error, and not one more.
const isError = (outcome) => data.errors.includes(outcome);

// The boxes at the threshold; those of the highest score last, to lie on top.
const predictedOf = (run) => run.predicted.filter((box) => box.score >= state.threshold);

function hasProperty(box, run) {
  if (!state.boxes) {
    return true;
  }
  if (state.boxes in SIZES) {
    const area = (box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1);
    return area >= SIZES[state.boxes][0] && area <= SIZES[state.boxes][1];
  }
  const object = box.outcome === undefined ? box : run.truth[box.truth];
  return object !== undefined && object[state.boxes];
}

// Whether a box is an error that the tools ask for.
function isChosen(box, run) {
  const outcome = outcomeOf(box);
  return isError(outcome) && (state.category === "" || box.category === Number(state.category))
    && (state.error === "" || outcome === state.error) && hasProperty(box, run);
}

const isFiltered = () => state.category !== "" || state.error !== "" || state.boxes !== "";

// What frames are ranked by.
function errorsOf(run) {
  return [...predictedOf(run), ...run.truth].filter((box) => isChosen(box, run)).length;
}

function labelOf(box, outcome) {
  const name = data.classes[box.category].name;
  const known = OUTCOMES[outcome] ?? outcome;
  if (box.score === undefined) {
    return outcome === "right" ? name : `${name}, ${known}`;
  }
  return outcome === "right" ? `${name} ${box.score.toFixed(2)}` : `${name} ${box.score.toFixed(2)}, ${known}`;
}

function titleOf(box, outcome, run) {
  const object = box.score !== undefined && run.truth[box.truth];
  const parts = [labelOf(box, outcome)];
  if (object) {
    parts.push(`IoU ${box.iou.toFixed(2)} with ${data.classes[object.category].name}`);
  }
  const side = Math.round(Math.sqrt((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1)));
  return [...parts, `${side} pixels`, ...["occluded", "truncated"].filter((key) => box[key])].join(", ");
}

function drawBoxes(svg, boxes, run, unit, frame, isLarge) {
  const taken = [];
  const labels = [];
  for (const box of boxes) {
    const outcome = outcomeOf(box);
    const color = outcome === "ignored" ? COLORS.ignored
      : state.colors === "class" ? data.classes[box.category].color : COLORS[outcome];
    const chosen = isChosen(box, run);
    const rect = makeSvg("rect", {
      x: box.x1, y: box.y1, width: box.x2 - box.x1 + 1, height: box.y2 - box.y1 + 1, stroke: color,
      "stroke-width": isError(outcome) ? 2.5 : 1.5, "data-outcome": outcome, "data-class": data.classes[box.category].name,
    }, makeSvg("title", {}, titleOf(box, outcome, run)));
    if (outcome === "ignored") {
      rect.setAttribute("stroke-dasharray", "5 4");
    }
    if (isFiltered() && !chosen) {
      rect.setAttribute("class", "dim");
    }
    svg.append(rect);
    // Three small images beside each other leave no room for names, which the boxes' titles have too.
    if (isLarge ? chosen || (!isFiltered() && outcome !== "ignored") : chosen && frame.runs.length === 1) {
      labels.push([box, labelOf(box, outcome), color]);
    }
  }
  // Names of the boxes on top choose their places first; one without a place is left to the box's title.
  const size = isLarge ? 14 * unit : 11.5 * unit;
  for (const [box, text, color] of labels.reverse()) {
    const width = text.length * size * 0.62;
    const x = Math.max(0, Math.min(box.x1, frame.width - width));
    for (const y of [box.y1 - 0.35 * size, box.y2 + 1.05 * size, box.y1 + 1.05 * size]) {
      const free = y > size && y < frame.height && !taken.some((other) =>
        x < other.x + other.width && other.x < x + width && Math.abs(y - other.y) < 1.15 * size);
      if (free) {
        taken.push({ x, y, width });
        svg.append(makeSvg("text", {
          x, y, fill: color, stroke: "#000", "stroke-width": 0.28 * size, "stroke-linejoin": "round", "font-size": size,
        }, text));
        break;
      }
    }
  }
}

const gallery = startGallery({
  choose() {
    const current = (frame) => errorsOf(frame.runs[0]);
    const change = (frame) => current(frame) - errorsOf(frame.runs[1]);
    const key = { errors: (frame) => -current(frame), worse: (frame) => -change(frame), better: change }[state.order];
    return data.frames
      .filter((frame) => hasAttributes(frame, state))
      .filter((frame) => !isFiltered() || current(frame) > 0 || (frame.runs.length > 1 && errorsOf(frame.runs[1]) > 0))
      .map((frame) => [key(frame), frame])
      .filter(([value]) => state.order === "errors" || value < 0)
      .sort(([a], [b]) => a - b)
      .map(([, frame]) => frame);
  },
  sides: (frame) => ["ground truth", ...frame.runs.map((_, run) => (run ? "baseline" : "prediction"))],
  fill(drawing, frame, side, width, isLarge) {
    const svg = makeSvg("svg", { viewBox: `0 0 ${frame.width} ${frame.height}` });
    const run = frame.runs[side ? side - 1 : 0];
    const boxes = side ? predictedOf(run).reverse() : run.truth;
    drawBoxes(svg, boxes, run, frame.width / (width || frame.width), frame, isLarge);
    drawing.replaceChildren(svg);
  },
  notes(frame) {
    const [run, baseline] = frame.runs;
    const change = baseline === undefined ? 0 : errorsOf(run) - errorsOf(baseline);
    return [
      ...data.attributes.map(([key]) => frame.attributes[key]).filter((value) => value && value !== "undefined"),
      ...notesOf(run),
      ...(change ? [`${count(Math.abs(change), "error")} ${change > 0 ? "more" : "less"} than the baseline`] : []),
    ];
  },
});

function notesOf(run) {
  const outcomes = [...predictedOf(run), ...run.truth].map(outcomeOf);
  const objects = run.truth.filter((box) => !box.ignored);
  const found = objects.filter((box) => outcomeOf(box) === "right").length;
  const errors = data.errors.map((name) => [name, outcomes.filter((outcome) => outcome === name).length]);
  const parts = errors.filter(([, number]) => number).map(([name, number]) => `${number} ${name}`);
  return [`${found} of ${count(objects.length, "object")} found`, parts.join(", ") || "no errors"];
}

function legend() {
  addLegend(state.colors === "class"
    ? [...data.classes.map(({ name, color }) => [name, color, ""]), ["not counted", "", "ignored"]]
    : [
      ["right, found", COLORS.right, "outline"], ["classification", COLORS.classification, "outline"],
      ["localisation", COLORS.localisation, "outline"], ["both", COLORS.both, "outline"],
      ["duplicate", COLORS.duplicate, "outline"], ["background, missed", COLORS.background, "outline"],
      ["not counted", "", "ignored"],
    ]);
}

addSlider("Score of at least", "threshold", state, gallery.redraw, gallery.rebuild);
addSelect("Class", "category", [["", "any"], ...data.classes.map(({ name }, i) => [i, name])], state, gallery.rebuild);
addSelect("Error", "error", [["", "any"], ...data.errors.map((name) => [name, name])], state, gallery.rebuild);
addSelect("Boxes", "boxes", [["", "all"], ...["small", "medium", "large", "occluded", "truncated"].map((key) => [key, key])],
  state, gallery.rebuild);
addAttributes(state, gallery.rebuild);
if (data.hasBaseline) {
  addSelect("Order", "order", [["errors", "most errors"], ["worse", "worse than the baseline"], ["better", "better than the baseline"]],
    state, gallery.rebuild);
}
addSelect("Colour", "colors", [["outcome", "outcome"], ["class", "class"]], state, () => {
  legend();
  gallery.redraw();
});
legend();
gallery.rebuild();
