// The gallery of masks: palette images of truth, prediction and errors over the frame's image.

const state = { opacity: 0.6, category: "", order: "score" };
const SIDES = ["ground truth", "prediction", "errors", "baseline", "errors of the baseline"];

// The IoU that frames are ranked by: the mean, or of the chosen class. A run in which the class is neither to be found
// nor predicted does nothing wrong.
const scoreOf = (run) => (state.category === "" ? run.score : run.classes[state.category] ?? 100);
const hasClass = (run) => state.category === "" || state.category in run.classes;

const gallery = startGallery({
  choose() {
    const current = (frame) => scoreOf(frame.runs[0]);
    const change = (frame) => current(frame) - scoreOf(frame.runs[1]);
    const key = { score: current, worse: change, better: (frame) => -change(frame) }[state.order];
    return data.frames
      .filter((frame) => hasAttributes(frame, state) && frame.runs.some(hasClass))
      .map((frame) => [key(frame), frame])
      .filter(([value]) => state.order === "score" || value < 0)
      .sort(([a], [b]) => a - b)
      .map(([, frame]) => frame);
  },
  sides: (frame) => SIDES.slice(0, frame.masks.length),
  fill(drawing, frame, side, width, isLarge) {
    const mask = frame.masks[side];
    if (mask === null) {
      drawing.replaceChildren(make("span", { class: "placeholder" }, "no mask"));
      return;
    }
    const source = isLarge ? mask.full : mask.small;
    if (drawing.firstChild?.getAttribute("src") !== source) {
      drawing.replaceChildren(make("img", { src: source, alt: "" }));
    }
    drawing.firstChild.style.opacity = state.opacity;
  },
  notes(frame) {
    const [run, baseline] = frame.runs;
    const percent = (value) => (value === null ? "-" : value.toFixed(1));
    const worst = Object.entries(run.classes).sort(([, a], [, b]) => a - b).slice(0, 3)
      .map(([index, iou]) => `${data.classes[index].name} ${percent(iou)}`);
    const change = baseline ? run.score - baseline.score : 0;
    return [
      ...data.attributes.map(([key]) => frame.attributes[key]).filter((value) => value && value !== "undefined"),
      `mIoU ${percent(run.score)}`, `pixel accuracy ${percent(run.accuracy)}`,
      ...(worst.length ? [`lowest: ${worst.join(", ")}`] : []),
      ...(change ? [`mIoU ${Math.abs(change).toFixed(1)} ${change > 0 ? "above" : "below"} the baseline`] : []),
    ];
  },
});

addSlider("Opacity", "opacity", state, gallery.redraw, gallery.redraw);
addSelect("Class", "category", [["", "any"], ...data.classes.map(({ name }, i) => [i, name])], state, gallery.rebuild);
addAttributes(state, gallery.rebuild);
if (data.hasBaseline) {
  addSelect("Order", "order", [["score", "lowest score"], ["worse", "worse than the baseline"], ["better", "better than the baseline"]],
    state, gallery.rebuild);
}
addLegend([...data.legend.map(([name, color]) => [name, color, ""])]);
gallery.rebuild();
