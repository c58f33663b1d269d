"use strict";

// Suspects are decided one by one. A decision holds the whole change, and is told from others by it: so decisions that
// were saved from an earlier page of the same labels are found again.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const CLOSE_UP = 16 / 10;
const LEAST_WIDTH = 200;
const VERDICTS = { a: "accept", r: "reject", s: "skip" };
const at = (id) => document.getElementById(id);
// Ids are texts; decisions that were saved earlier may have numbers.
const keyOf = (change) => JSON.stringify(change, (key, value) => (key === "id" && typeof value === "number" ? String(value) : value));

const verdicts = new Map();
// What was decided, the latest last, with the verdict before it.
let decided = [];
// By key, of other suspects than the page's; they are saved again.
const others = new Map();
let unsaved = false;
let whole = false;
let chosen = [];
let current = 0;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

function draw(name, attributes) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  return element;
}

function title(suspect) {
  const { action, category, label, timeofday, old } = suspect.change;
  const name = label?.category ?? category;
  return {
    add: () => `Add a ${name} here`,
    remove: () => `Remove this ${name}`,
    rename: () => `Rename ${name} to ${category}`,
    move: () => `Move the box of this ${name}`,
    set_time: () => `Tag the frame ${timeofday}, not ${old}`,
    repaint: () => `Repaint ${old} as ${category}`,
  }[action]();
}

const edges = ([x1, y1, x2, y2]) => ({ x: x1, y: y1, width: x2 - x1 + 1, height: y2 - y1 + 1 });

// The part of the image that is shown: around the boxes, in the form of the stage, as far as the image goes.
function closeUp(suspect, frame) {
  const boxes = [suspect.label, suspect.model].filter(Boolean);
  const all = { x: 0, y: 0, width: frame.width, height: frame.height };
  if (whole || !boxes.length) {
    return all;
  }
  const [x1, y1] = [0, 1].map((side) => Math.min(...boxes.map((box) => box[side])));
  const [x2, y2] = [2, 3].map((side) => Math.max(...boxes.map((box) => box[side])));
  const width = Math.max(2.4 * (x2 - x1), 2.4 * CLOSE_UP * (y2 - y1), LEAST_WIDTH);
  if (width >= frame.width) {
    return all;
  }
  const height = Math.min(width / CLOSE_UP, frame.height);
  const inside = (middle, size, most) => Math.min(Math.max(middle - size / 2, 0), most - size);
  return { x: inside((x1 + x2) / 2, width, frame.width), y: inside((y1 + y2) / 2, height, frame.height), width, height };
}

function isSame(one, other) {
  return Boolean(one && other) && one.every((value, side) => Math.abs(value - other[side]) < 0.2);
}

function picture(frame, suspect, view, stage, isLarge) {
  const source = isLarge ? frame.full : frame.small;
  const svg = draw("svg", { viewBox: `${view.x} ${view.y} ${view.width} ${view.height}` });
  if (source) {
    svg.append(draw("image", { href: source, x: 0, y: 0, width: frame.width, height: frame.height }));
  }
  const unit = view.width / (stage.clientWidth || 900);
  const name = (text, [x, y], above) => {
    const label = draw("text", { x: x + 2 * unit, y: above ? Math.max(y - 4 * unit, view.y + 14 * unit) : y, "font-size": 14 * unit, "stroke-width": 3 * unit });
    label.textContent = text;
    svg.append(label);
  };
  frame.boxes.filter((one) => !isSame(one.box, suspect.label)).forEach((one) => {
    svg.append(draw("rect", { class: "other", ...edges(one.box) }));
    if (isLarge) {
      name(one.name, one.box, true);
    }
  });
  if (suspect.overlay) {
    svg.append(draw("image", { class: "overlay", href: suspect.overlay, preserveAspectRatio: "none", ...edges(suspect.label) }));
  } else if (suspect.label) {
    svg.append(draw("rect", { class: "label", ...edges(suspect.label) }));
    if (isLarge) {
      name(suspect.change.label.category ?? "", suspect.label, true);
    }
  }
  if (suspect.model) {
    svg.append(draw("rect", { class: "model", ...edges(suspect.model) }));
    if (isLarge) {
      name(suspect.change.category ?? "", [suspect.model[0], suspect.model[3] + 16 * unit], false);
    }
  }
  return svg;
}

const counted = (verdict) => [...verdicts.values()].filter((one) => one === verdict).length;

function showProgress() {
  const text = ["accepted", "rejected", "skipped"].map((name, place) => `${counted(Object.values(VERDICTS)[place])} ${name}`);
  at("progress").textContent = `${verdicts.size} of ${data.suspects.length} decided: ${text.join(", ")}`;
}

function show() {
  showProgress();
  at("review").hidden = !chosen.length;
  at("empty").hidden = chosen.length > 0;
  [...at("list").querySelectorAll("button")].forEach((button, place) => {
    button.dataset.verdict = verdicts.get(keyOf(chosen[place].change)) ?? "";
    button.setAttribute("aria-current", String(place === current));
  });
  if (!chosen.length) {
    at("empty").textContent = data.suspects.length ? "No suspects are of this kind and decision." : data.nothing;
    return;
  }
  const suspect = chosen[current];
  const frame = data.frames[suspect.frame];
  const view = closeUp(suspect, frame);
  at("close-up").replaceChildren(picture(frame, suspect, view, at("close-up"), true));
  const small = picture(frame, suspect, { x: 0, y: 0, width: frame.width, height: frame.height }, at("overview"), false);
  small.append(draw("rect", { class: "view", ...view }));
  at("overview").style.aspectRatio = `${frame.width} / ${frame.height}`;
  at("overview").replaceChildren(small);
  at("legend").hidden = Boolean(suspect.overlay);
  at("frame-name").textContent = frame.full ? frame.name : `${frame.name}: no image`;
  at("kind").textContent = suspect.kind;
  at("likely").textContent = `likely wrong: ${Math.round(100 * suspect.score)} %`;
  at("change").textContent = title(suspect);
  at("evidence").textContent = suspect.evidence;
  at("place").textContent = `${current + 1} of ${chosen.length}`;
  const verdict = verdicts.get(keyOf(suspect.change));
  document.querySelectorAll(".verdicts button").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  });
  const list = at("list");
  const item = list.children[current];
  if (item.offsetTop < list.scrollTop + list.offsetTop || item.offsetTop + item.offsetHeight > list.scrollTop + list.offsetTop + list.clientHeight) {
    list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 2;
  }
}

function choose() {
  const [kind, state] = [at("kinds").value, at("state").value];
  const before = chosen[current];
  chosen = data.suspects.filter((suspect) => {
    const verdict = verdicts.get(keyOf(suspect.change)) ?? "none";
    return (!kind || suspect.kind === kind) && (!state || verdict === state);
  });
  current = Math.max(chosen.indexOf(before), 0);
  const items = chosen.map((suspect, place) => {
    const button = make("button", { type: "button", title: data.frames[suspect.frame].name });
    button.append(make("span", { class: "text" }, title(suspect)), make("span", { class: "score" }, suspect.score.toFixed(2)));
    button.addEventListener("click", () => step(place - current));
    return make("li", {}, button);
  });
  at("list").replaceChildren(...items);
  show();
}

function step(by) {
  current = Math.min(Math.max(current + by, 0), chosen.length - 1);
  show();
}

function decide(verdict) {
  if (!chosen.length) {
    return;
  }
  const key = keyOf(chosen[current].change);
  decided.push({ suspect: chosen[current], before: verdicts.get(key) });
  verdicts.set(key, verdict);
  unsaved = true;
  tell("");
  step(1);
}

function undo() {
  if (!decided.length) {
    tell("There is no decision of this session to take back.");
    return;
  }
  const { suspect, before } = decided.pop();
  if (before) {
    verdicts.set(keyOf(suspect.change), before);
  } else {
    verdicts.delete(keyOf(suspect.change));
  }
  unsaved = true;
  tell("");
  if (!chosen.includes(suspect)) {
    at("kinds").value = at("state").value = "";
    choose();
  }
  step(chosen.indexOf(suspect) - current);
}

function tell(text, isBad = false) {
  at("message").textContent = text;
  at("message").classList.toggle("bad", isBad);
}

function save() {
  const decisions = data.suspects.flatMap(({ kind, score, change }) => {
    const verdict = verdicts.get(keyOf(change));
    return verdict ? [{ verdict, kind, score, change }] : [];
  });
  const content = { format: data.format, task: data.task, labels: data.labels, decisions: [...decisions, ...others.values()] };
  const link = make("a", { download: "decisions.json" });
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  unsaved = false;
  tell(`${content.decisions.length} decisions saved as decisions.json.`);
}

async function open(file) {
  let content = null;
  try {
    content = JSON.parse(await file.text());
  } catch {
    tell(`${file.name} is no JSON file.`, true);
    return;
  }
  const isSound = (one) => Object.values(VERDICTS).includes(one?.verdict) && typeof one.change === "object" && one.change;
  if (content?.format !== data.format || content.task !== data.task || !Array.isArray(content.decisions) || !content.decisions.every(isSound)) {
    tell(`${file.name} holds no decisions on labels of ${data.task}.`, true);
    return;
  }
  if (content.labels?.sha256 !== data.labels.sha256) {
    tell(`${file.name} is of other labels: ${content.labels?.path}, or their older content.`, true);
    return;
  }
  const here = new Set(data.suspects.map((suspect) => keyOf(suspect.change)));
  const elsewhere = content.decisions.filter((one) => !here.has(keyOf(one.change)));
  // Together with others they are in no file.
  unsaved ||= verdicts.size + others.size > 0;
  elsewhere.forEach((one) => others.set(keyOf(one.change), one));
  content.decisions.filter((one) => here.has(keyOf(one.change))).forEach((one) => verdicts.set(keyOf(one.change), one.verdict));
  decided = [];
  choose();
  const next = chosen.findIndex((suspect) => !verdicts.has(keyOf(suspect.change)));
  step(Math.max(next, 0) - current);
  tell(`${content.decisions.length} decisions read${elsewhere.length ? `, ${elsewhere.length} of them on suspects that are not here` : ""}.`);
}

const kinds = new Map([["", data.suspects.length]]);
data.suspects.forEach(({ kind }) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1));
kinds.forEach((number, kind) => at("kinds").append(make("option", { value: kind }, `${kind || "all"} (${number})`)));
at("kinds").addEventListener("change", choose);
at("state").addEventListener("change", choose);
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("save").addEventListener("click", save);
at("open").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", async () => {
  const [file] = at("file").files;
  if (file) {
    await open(file);
  }
  // So that the same file can be opened again.
  at("file").value = "";
});
document.querySelectorAll(".verdicts button").forEach((button) => {
  button.addEventListener("click", () => decide(button.dataset.verdict));
});
const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  u: undo,
  d: save,
  f: () => {
    whole = !whole;
    show();
  },
  b: () => document.body.classList.toggle("plain"),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) {
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = VERDICTS[key] ? () => decide(VERDICTS[key]) : KEYS[key];
  if (action) {
    event.preventDefault();
    action();
  }
});
window.addEventListener("resize", show);
window.addEventListener("beforeunload", (event) => unsaved && event.preventDefault());
choose();
