"use strict";

// What the pages of detection and of segmentation share: plots and matrices to choose from, and the gallery of frames.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

for (const choice of document.querySelectorAll("select[data-plots]")) {
  const pictures = document.getElementById(choice.dataset.plots).querySelectorAll("picture");
  const show = () => pictures.forEach((picture) => { picture.hidden = picture.dataset.choice !== choice.value; });
  choice.addEventListener("change", show);
  // A page that is loaded again keeps the choice, but not what it chose.
  show();
}

for (const choice of document.querySelectorAll("select[data-matrix]")) {
  const rows = [...document.getElementById(choice.dataset.matrix).tBodies[0].rows].map((row) => [...row.cells].slice(1));
  const counts = rows.map((row) => row.map((cell) => Number(cell.dataset.count)));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const ofRows = counts.map(sum);
  const ofColumns = (counts[0] ?? []).map((_, column) => sum(counts.map((row) => row[column])));
  const show = () => rows.forEach((row, i) => row.forEach((cell, j) => {
    const total = choice.value === "column" ? ofColumns[j] : ofRows[i];
    const share = total ? (100 * counts[i][j]) / total : 0;
    cell.style.setProperty("--share", share.toFixed(2));
    cell.classList.toggle("strong", share > 60);
    cell.classList.toggle("none", counts[i][j] === 0);
    cell.textContent = counts[i][j] === 0 ? "\u00b7"
      : choice.value === "count" ? counts[i][j].toLocaleString("en") : share < 0.05 ? "<0.1" : share.toFixed(1);
  }));
  choice.addEventListener("change", show);
  show();
}

const data = JSON.parse(document.getElementById("data").textContent);
const FRAMES_AT_ONCE = 24;

// A drop-down among the tools; an option without a value stands for no choice.
function addSelect(title, key, options, state, changed) {
  const select = make("select", { "data-tool": key });
  options.forEach(([value, text]) => select.append(make("option", { value }, text)));
  select.value = state[key];
  select.addEventListener("change", () => {
    state[key] = select.value;
    changed();
  });
  document.getElementById("tools").append(make("label", {}, title, select));
}

// A slider among the tools: `moved` while it moves, `changed` when it is let go.
function addSlider(title, key, state, moved, changed) {
  const output = make("output", {}, state[key].toFixed(2));
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: state[key], "data-tool": key });
  slider.addEventListener("input", () => {
    state[key] = Number(slider.value);
    output.textContent = state[key].toFixed(2);
    moved();
  });
  slider.addEventListener("change", changed);
  document.getElementById("tools").append(make("label", { class: "slider" }, make("span", {}, `${title} `, output), slider));
}

// One drop-down for each attribute of the frames that tells some of them apart.
function addAttributes(state, changed) {
  for (const [key, title] of data.attributes) {
    const values = [...new Set(data.frames.map((frame) => frame.attributes[key]).filter(Boolean))].sort();
    state[key] = "";
    if (values.length > 1) {
      addSelect(title, key, [["", "any"], ...values.map((value) => [value, value])], state, changed);
    }
  }
}

const hasAttributes = (frame, state) =>
  data.attributes.every(([key]) => !state[key] || frame.attributes[key] === state[key]);

function addLegend(entries) {
  const legend = document.getElementById("legend");
  legend.replaceChildren(...entries.map(([text, color, kind]) => {
    const swatch = make("span", { class: `swatch ${kind}` });
    swatch.style.setProperty(kind === "outline" ? "border-color" : "background", color);
    return make("li", {}, swatch, text);
  }));
}

const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

// The gallery. A kind has: choose() -> frames in order, sides(frame) -> titles, fill(stage, frame, side, isLarge) which
// draws over the image, and notes(frame) -> texts.
function startGallery(kind) {
  const place = document.getElementById("frames");
  const more = document.getElementById("more");
  const shown = document.getElementById("tools").appendChild(make("p", { class: "shown", role: "status" }));
  const cards = new Map();
  const near = new Set();
  let chosen = [];
  let limit = FRAMES_AT_ONCE;

  // Only what is about to be seen is drawn, so that the slider follows the hand.
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        near.add(target);
        paint(target);
      } else {
        near.delete(target);
      }
    }
  }, { rootMargin: "600px" });

  const sizes = new ResizeObserver(() => near.forEach(paint));
  sizes.observe(place);

  function addImage(stage, frame, isLarge) {
    stage.style.aspectRatio = `${frame.width} / ${frame.height}`;
    const missing = (text) => make("span", { class: "placeholder" }, text);
    if (frame.small === null) {
      stage.prepend(missing("no image"));
      return;
    }
    const image = make("img", { src: isLarge ? frame.full : frame.small, alt: "", loading: isLarge ? "eager" : "lazy" });
    image.addEventListener("error", () => image.replaceWith(missing("the image cannot be shown")));
    stage.prepend(image);
  }

  function makeCard(frame) {
    const card = make("figure", { class: "frame" }, make("div", { class: "views" }), make("figcaption"));
    card.frame = frame;
    kind.sides(frame).forEach((title, side) => {
      const label = make("span", { class: "side" }, title);
      const view = make("button", { type: "button", class: "view", "aria-label": `${title} of ${frame.name}, full size` });
      view.append(make("div", { class: "drawing" }), label);
      addImage(view, frame, false);
      view.addEventListener("click", () => viewer.open(chosen, frame, side, view));
      card.firstChild.append(view);
    });
    card.lastChild.append(...caption(frame));
    observer.observe(card);
    return card;
  }

  function caption(frame) {
    return [make("b", {}, frame.name), ...kind.notes(frame).flatMap((note) => [" ", make("span", {}, note)])];
  }

  function paint(card) {
    [...card.firstChild.children].forEach((view, side) => {
      kind.fill(view.querySelector(".drawing"), card.frame, side, view.clientWidth, false);
    });
    card.lastChild.replaceChildren(...caption(card.frame));
  }

  function show() {
    const visible = chosen.slice(0, limit);
    visible.filter((frame) => !cards.has(frame)).forEach((frame) => cards.set(frame, makeCard(frame)));
    place.replaceChildren(...visible.map((frame) => cards.get(frame)));
    near.forEach((card) => (card.isConnected ? paint(card) : near.delete(card)));
    more.hidden = limit >= chosen.length;
    shown.textContent = chosen.length
      ? `${count(chosen.length, "frame")} of ${data.frames.length.toLocaleString("en")} in the gallery`
      : data.frames.length ? "No frame in the gallery is like that." : "The gallery is empty.";
  }

  more.addEventListener("click", () => {
    limit += FRAMES_AT_ONCE;
    show();
  });

  const viewer = makeViewer(kind, addImage, caption);
  return {
    redraw: () => near.forEach(paint),
    rebuild: () => {
      chosen = kind.choose();
      limit = FRAMES_AT_ONCE;
      show();
    },
  };
}

// The dialog with one image in full size; the arrow keys step through the sides of all chosen frames.
function makeViewer(kind, addImage, caption) {
  const dialog = document.getElementById("viewer");
  const stage = dialog.querySelector(".stage");
  let views = [];
  let current = 0;
  let opener = null;

  function show(index) {
    current = (index + views.length) % views.length;
    const [frame, side] = views[current];
    const drawing = make("div", { class: "drawing" });
    stage.replaceChildren(drawing, make("span", { class: "side" }, kind.sides(frame)[side]));
    addImage(stage, frame, true);
    dialog.querySelector(".caption").replaceChildren(...caption(frame));
    fit();
    kind.fill(drawing, frame, side, stage.clientWidth, true);
  }

  function fit() {
    const [frame] = views[current];
    const height = window.innerHeight - dialog.querySelector("figcaption").offsetHeight;
    stage.style.width = `${Math.min(window.innerWidth, (height * frame.width) / frame.height)}px`;
  }

  window.addEventListener("resize", () => dialog.open && show(current));
  dialog.querySelector(".previous").addEventListener("click", () => show(current - 1));
  dialog.querySelector(".next").addEventListener("click", () => show(current + 1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target.localName === "figure" || event.target === dialog) {
      dialog.close();
    }
  });
  dialog.addEventListener("close", () => opener?.focus());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      show(current + step);
    } else if (event.key === "b" || event.key === "B") {
      const drawing = stage.querySelector(".drawing");
      drawing.hidden = !drawing.hidden;
    }
  });
  return {
    open(frames, frame, side, button) {
      views = frames.flatMap((one) => kind.sides(one).map((_, place) => [one, place]));
      opener = button;
      dialog.showModal();
      show(views.findIndex(([one, place]) => one === frame && place === side));
    },
  };
}
