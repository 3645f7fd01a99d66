"use strict";
// One front end for `review serve` and the HTML pack. Everything from rows is set as text, never as
// markup. A store says where decisions are kept: on the server, or in this browser.

const $ = (id) => document.getElementById(id);
const PAIRS = [["a", "b"], ["response1", "response2"], ["response_a", "response_b"],
  ["answer_a", "answer_b"], ["chosen", "rejected"], ["output_1", "output_2"]];
const FOLD = 4000;
const BRIEF = 48;
let pack, store, rows, place = 0, shown = [], editing = null, history = [], since = 0, loading = null;
let draft = { tags: new Set(), comment: "" };
const searchable = new Map();

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// ---- stores ----

class Browser {
  // The HTML pack: decisions stay in this browser until they are downloaded.
  constructor(data) {
    this.pack = data;
    this.key = `distill-review:${data.pack_id}`;
    this.said = {};
    try {
      this.said = JSON.parse(localStorage.getItem(this.key) || "{}");
    } catch { this.broken = true; }
  }
  async load() { return this.said; }
  async save(review) {
    if (review.decision === null) delete this.said[review.row_id];
    else this.said[review.row_id] = review;
    try {
      localStorage.setItem(this.key, JSON.stringify(this.said));
    } catch {
      throw new Error("this browser keeps nothing; download before you close the page");
    }
  }
  lines() {
    return this.pack.rows.filter((row) => this.said[row.row_id]).map((row) => JSON.stringify({
      v: 1, pack_id: this.pack.pack_id, row_id: row.row_id, content_hash: row.content_hash,
      schema_hash: this.pack.schema_hash, kind: this.pack.kind, show: row.show,
      review: { ...this.said[row.row_id], saw_suggestion: this.pack.kind !== "gold" },
    }));
  }
}

class Server {
  constructor() { this.waiting = []; }
  async load(reviewer) {
    const answer = await fetch(`state?reviewer=${encodeURIComponent(reviewer)}`);
    if (!answer.ok) throw new Error("the server does not answer");
    return answer.json();
  }
  async save(review) {
    this.waiting.push(review);
    await this.flush();
  }
  async flush() {
    while (this.waiting.length) {
      let answer;
      try {
        answer = await fetch("decide", { method: "POST", body: JSON.stringify(this.waiting[0]),
          headers: { "Content-Type": "application/json" } });
      } catch {
        setTimeout(() => this.flush().then(() => tell("saved"), () => {}), 3000);
        throw new Error(`${this.waiting.length} not saved yet: the server does not answer`);
      }
      const refused = this.waiting.shift();
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        const error = new Error(told.error || "the server refused this");
        error.refused = refused;
        throw error;
      }
    }
  }
}

// ---- what is shown ----

function draw() {
  const row = rows[shown[place]];
  editing = null;
  since = performance.now();
  const box = $("row");
  box.replaceChildren();
  $("place").textContent = shown.length ? `${place + 1} / ${shown.length}` : "none";
  $("back").disabled = place <= 0;
  $("next").disabled = place >= shown.length - 1;
  if (!row) {
    box.append(element("p", { class: "empty" }, "No row is left here. Change what is shown above."));
    buttons(null);
    return;
  }
  const said = store.said[row.row_id];
  draft = { tags: new Set(said ? said.tags : []), comment: said ? said.comment : "" };
  $("comment").value = draft.comment;
  drawTags();
  drawAbout(row, said);
  const done = new Set();
  for (const name of Object.keys(row.show)) {
    if (done.has(name)) continue;
    const pair = PAIRS.find(([one, other]) => one === name && other in row.show);
    if (pair) {
      pair.forEach((each) => done.add(each));
      box.append(element("div", { class: "side" }, ...pair.map((each) => fieldBox(row, each, said, false))));
    } else {
      box.append(fieldBox(row, name, said));
    }
  }
  for (const field of pack.schema.fields) {
    if (!(field.name in row.show)) box.append(fieldBox(row, field.name, said));
  }
  box.scrollTop = 0;
  buttons(row);
}

function fieldBox(row, name, said, mayBeBrief = true) {
  const field = pack.schema.fields.find((each) => each.name === name);
  const title = element("div", { class: "title" }, element("b", { dir: "auto" }, name));
  const brief = mayBeBrief && !field && name in row.show && asText(row.show[name]).length <= BRIEF && !/\n/.test(asText(row.show[name]));
  const looks = field ? (field.values.length ? "field asked choice" : "field asked") : brief ? "field brief" : "field";
  const box = element("div", { class: looks, "data-field": name }, title);
  const given = row.suggestion[name];
  if (given) {
    if (given.source) title.append(element("span", {}, given.source));
    if (given.score !== null) title.append(element("span", {}, `votes ${Math.round(given.score * 100)} %`));
  }
  const shows = name in row.show;
  const changed = said && said.decision === "edit" && name in said.edits;
  if (changed) {
    title.append(element("span", { class: "state edit" }, shows ? "edited" : "answered"));
    if (shows) box.append(difference(asText(row.show[name]), asText(said.edits[name])));
    else box.append(textBox(said.edits[name]));
  } else if (shows) {
    box.append(...folded(row.show[name]));
  } else {
    box.append(element("p", { class: "text none" }, "your answer"));
  }
  if (field && field.values.length) {
    const now = changed ? said.edits[name] : shows && said && said.decision === "accept" ? row.show[name] : undefined;
    box.append(valueChips(field, now, shows ? row.show[name] : undefined, (value) => choose(field, value)));
  }
  return box;
}

function valueChips(field, pressed, suggested, act) {
  const first = pack.schema.fields.find((each) => each.values.length) === field;
  return element("div", { class: "chips in", role: "group", "aria-label": field.name },
    ...field.values.map((value, at) => element("button", {
      "aria-pressed": String(pressed !== undefined && same(pressed, value)), onclick: () => act(value),
      ...(suggested !== undefined && same(suggested, value) ? { class: "given", title: "as it is" } : {}),
    }, ...(first && at < 9 ? [element("kbd", {}, String(at + 1))] : []), asText(value))));
}

function folded(value) {
  const text = asText(value);
  if (text.length <= FOLD) return [textBox(value)];
  const box = textBox(text.slice(0, FOLD) + "\u2026");
  const more = element("button", { class: "more", onclick: () => {
    box.textContent = text;
    more.remove();
  } }, `Show all ${text.length.toLocaleString("en")} characters`);
  return [box, more];
}

function textBox(value) {
  if (value === null || value === undefined) return element("p", { class: "text none" }, "missing");
  const text = asText(value);
  if (text === "") return element("p", { class: "text none" }, "empty");
  return element("p", { class: "text", dir: "auto" }, text);
}

function drawAbout(row, said) {
  const about = $("about");
  about.replaceChildren(element("h2", {}, "Row ", element("span", { class: "quiet" }, row.row_id)));
  if (said) about.append(element("p", { class: `state ${said.decision}` }, { accept: "accepted", edit: "edited",
    reject: "rejected", skip: "skipped" }[said.decision]));
  const why = row.why.filter((each) => each !== "random" && each !== "extra");
  if (why.length) {
    about.append(element("h2", {}, "Why this row"),
      element("div", { class: "chips" }, ...why.map((each) => element("span", { class: "badge" }, each))));
  }
}

function drawTags() {
  const known = [...new Set([...pack.schema.tags, ...draft.tags])];
  $("tags").replaceChildren(...known.map((tag) => element("button", {
    "aria-pressed": String(draft.tags.has(tag)), onclick: () => toggle(tag) }, tag.replaceAll("_", " "))));
  $("tags").className = "chips";
  $("known").replaceChildren(...known.map((tag) => element("option", { value: tag })));
}

function toggle(tag) {
  if (draft.tags.has(tag)) draft.tags.delete(tag);
  else draft.tags.add(tag);
  drawTags();
  keep();
}

function buttons(row) {
  const blind = pack.kind === "gold";
  $("accept").hidden = Boolean(editing) || blind;
  $("edit").hidden = Boolean(editing);
  $("edit").lastChild.textContent = blind ? " Answer" : " Edit";
  $("save").hidden = $("cancel").hidden = !editing;
  for (const id of ["accept", "edit", "reject", "skip"]) $(id).disabled = !row;
  $("undo").disabled = history.length === 0;
}

function count() {
  const done = rows.filter((row) => store.said[row.row_id]);
  $("progress").value = rows.length ? done.length / rows.length : 0;
  const times = done.map((row) => store.said[row.row_id].seconds).filter((s) => s > 0).sort((a, b) => a - b);
  const typical = times.length > 4 ? times[Math.floor(times.length / 2)] : null;
  const left = rows.length - done.length;
  const rest = typical && left ? minutes(typical * left) : "";
  $("count").textContent = `${done.length} of ${rows.length}${left ? rest : ", all done"}`;
}

function minutes(seconds) {
  const whole = Math.max(1, Math.round(seconds / 60));
  return `, about ${whole} ${whole === 1 ? "minute" : "minutes"} left`;
}

// ---- filters ----

const FILTERS = {
  all: ["all rows", () => true],
  open: ["not decided yet", (row) => !store.said[row.row_id]],
  accept: ["accepted", (row) => store.said[row.row_id]?.decision === "accept"],
  edit: ["edited", (row) => store.said[row.row_id]?.decision === "edit"],
  reject: ["rejected", (row) => store.said[row.row_id]?.decision === "reject"],
  skip: ["skipped", (row) => store.said[row.row_id]?.decision === "skip"],
  commented: ["commented", (row) => store.said[row.row_id]?.comment],
};

function filters() {
  const why = new Set(rows.flatMap((row) => row.why));
  for (const each of [...why].sort()) {
    if (each !== "extra") FILTERS[`why:${each}`] = [`why: ${each}`, (row) => row.why.includes(each)];
  }
  $("filter").replaceChildren(...Object.entries(FILTERS).map(([id, [name]]) => element("option", { value: id }, name)));
}

function words(row) {
  if (!searchable.has(row.row_id)) {
    const said = store.said[row.row_id];
    searchable.set(row.row_id, [row.row_id, ...Object.values(row.show).map(asText),
      said ? said.comment : ""].join("\n").toLowerCase());
  }
  return searchable.get(row.row_id);
}

function sift(keepRow) {
  const [, fits] = FILTERS[$("filter").value] || FILTERS.all;
  const wanted = $("search").value.trim().toLowerCase();
  shown = [];
  if (loading) return;
  rows.forEach((row, at) => {
    if (fits(row) && (!wanted || words(row).includes(wanted))) shown.push(at);
  });
  const found = keepRow === undefined ? -1 : shown.indexOf(keepRow);
  place = found >= 0 ? found : Math.min(place, Math.max(0, shown.length - 1));
}

// ---- decisions ----

async function keep() {
  // A tag or comment on a row that is decided belongs to that decision.
  const row = rows[shown[place]];
  const said = row && store.said[row.row_id];
  if (said) await put({ ...said, tags: [...draft.tags], comment: draft.comment }, false);
}

async function decide(decision, edits = {}) {
  const row = rows[shown[place]];
  if (!row) return;
  const seconds = Math.round((performance.now() - since) / 100) / 10;
  await put({ row_id: row.row_id, decision, edits, tags: [...draft.tags], comment: draft.comment,
    confidence: null, reviewer: reviewer(), at: new Date().toISOString(), seconds, order: [] }, true);
}

async function put(review, forward) {
  const before = store.said[review.row_id] || null;
  if (forward) history.push({ row_id: review.row_id, before });
  store.said[review.row_id] = review;
  searchable.delete(review.row_id);
  const here = shown[place];
  if (forward) advance();
  else drawAbout(rows[here], review);
  count();
  await send(review, before);
}

async function send(review, before) {
  tell("saving");
  try {
    await store.save({ ...review, reviewer: reviewer(), at: new Date().toISOString() });
    tell("saved");
  } catch (error) {
    if (error.refused) {
      if (before) store.said[review.row_id] = before;
      else delete store.said[review.row_id];
      history = history.filter((each) => each.row_id !== review.row_id);
      goTo(review.row_id);
      count();
    }
    tell(error.message, true);
  }
}

function advance() {
  const here = shown[place];
  const later = shown.slice(place + 1).find((at) => !store.said[rows[at].row_id]);
  const earlier = shown.find((at) => !store.said[rows[at].row_id]);
  const target = later ?? earlier ?? shown[Math.min(place + 1, shown.length - 1)] ?? here;
  sift(target);
  draw();
  $("row").focus({ preventScroll: true });
}

async function undo() {
  const last = history.pop();
  if (!last) return;
  const undone = store.said[last.row_id];
  if (last.before) store.said[last.row_id] = last.before;
  else delete store.said[last.row_id];
  searchable.delete(last.row_id);
  goTo(last.row_id);
  count();
  await send(last.before || { ...undone, decision: null, edits: {}, tags: [], comment: "" }, undone);
}

function goTo(id) {
  const at = rows.findIndex((row) => row.row_id === id);
  sift(at);
  if (shown[place] !== at) {
    $("filter").value = "all";
    $("search").value = "";
    sift(at);
  }
  draw();
}

function choose(field, value) {
  const row = rows[shown[place]];
  if (editing) {
    editing.set(field.name, value);
    return;
  }
  if (field.name in row.show && same(row.show[field.name], value)) decide("accept");
  else decide("edit", { [field.name]: value });
}

// ---- editing ----

function edit() {
  const row = rows[shown[place]];
  if (!row || editing) return;
  const said = store.said[row.row_id];
  const values = new Map();
  editing = { values, set(name, value) {
    values.set(name, value);
    this.redraw.get(name)?.();
  }, redraw: new Map() };
  let first = null;
  for (const field of pack.schema.fields) {
    const box = document.querySelector(`[data-field="${CSS.escape(field.name)}"]`);
    const original = field.name in row.show ? row.show[field.name] : undefined;
    const start = said && said.decision === "edit" && field.name in said.edits ? said.edits[field.name] : original;
    values.set(field.name, start);
    const title = box.firstChild;
    if (field.values.length) {
      const redraw = () => box.replaceChildren(title,
        ...(original === undefined ? [] : folded(original)),
        valueChips(field, values.get(field.name), original, (value) => editing.set(field.name, value)));
      editing.redraw.set(field.name, redraw);
      redraw();
      first ??= box.querySelector("button[aria-pressed='true'], button[aria-pressed]");
      continue;
    }
    const area = element("textarea", { dir: "auto", "aria-label": field.name });
    area.value = start === undefined || start === null ? "" : asText(start);
    area.rows = Math.min(18, 2 + area.value.split("\n").length + Math.floor(area.value.length / 90));
    const parts = [element("div", { class: "editor" }, area)];
    if (original !== undefined && original !== null) {
      const diff = element("div", { class: "diff", dir: "auto", "aria-label": "Changes" });
      const show = () => diff.replaceChildren(...difference(asText(original), area.value).childNodes);
      area.addEventListener("input", show);
      show();
      parts.push(diff);
    }
    area.addEventListener("input", () => values.set(field.name, parse(area.value, original, field)));
    box.replaceChildren(title, ...parts);
    first ??= area;
  }
  buttons(row);
  first?.focus();
  first?.scrollIntoView({ block: "center" });
}

function parse(text, original, field) {
  if (field.text_only || typeof original === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function save() {
  const row = rows[shown[place]];
  const edits = {};
  for (const [name, value] of editing.values) {
    const blind = !(name in row.show);
    if (blind ? value !== undefined && value !== "" : !same(value, row.show[name])) edits[name] = value;
  }
  if (!Object.keys(edits).length) {
    if (pack.kind === "gold") {
      tell("give an answer, or skip", true);
      return;
    }
    decide("accept");
  } else decide("edit", edits);
}

// ---- the difference between two texts, word by word ----

function difference(before, after) {
  const box = element("div", { class: "diff", dir: "auto" });
  for (const [kind, text] of wordDiff(before, after)) {
    box.append(kind === "same" ? text : element(kind, {}, text));
  }
  return box;
}

function wordDiff(before, after) {
  const split = (text) => text.match(/\s+|[^\s]+/gu) || [];
  let one = split(before), other = split(after);
  let head = 0;
  while (head < one.length && head < other.length && one[head] === other[head]) head += 1;
  let tail = 0;
  while (tail < one.length - head && tail < other.length - head
    && one[one.length - 1 - tail] === other[other.length - 1 - tail]) tail += 1;
  const start = one.slice(0, head).join(""), end = tail ? one.slice(-tail).join("") : "";
  one = one.slice(head, one.length - tail);
  other = other.slice(head, other.length - tail);
  const parts = [["same", start]];
  if (one.length * other.length > 4e6) parts.push(["del", one.join("")], ["ins", other.join("")]);
  else parts.push(...middle(one, other));
  parts.push(["same", end]);
  const merged = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    if (merged.length && merged[merged.length - 1][0] === kind) merged[merged.length - 1][1] += text;
    else merged.push([kind, text]);
  }
  return merged;
}

function middle(one, other) {
  // Longest common subsequence, from the end.
  const width = other.length + 1;
  const best = new Uint32Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      best[i * width + j] = one[i] === other[j] ? best[(i + 1) * width + j + 1] + 1
        : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const parts = [];
  let i = 0, j = 0;
  while (i < one.length && j < other.length) {
    if (one[i] === other[j]) { parts.push(["same", one[i]]); i += 1; j += 1; }
    else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) { parts.push(["del", one[i]]); i += 1; }
    else { parts.push(["ins", other[j]]); j += 1; }
  }
  parts.push(["del", one.slice(i).join("")], ["ins", other.slice(j).join("")]);
  return parts;
}

// ---- keys and start ----

function move(step) {
  const target = Math.max(0, Math.min(shown.length - 1, place + step));
  if (target !== place) {
    place = target;
    draw();
  }
}

function jump() {
  const number = Number(prompt(`Go to row (1 to ${shown.length})`));
  if (Number.isInteger(number) && number >= 1) {
    place = Math.min(number, shown.length) - 1;
    draw();
  }
}

const KEYS = {
  a: () => (pack.kind === "gold" ? edit() : decide("accept")), e: edit, r: () => decide("reject"),
  s: () => decide("skip"), u: undo, j: () => move(1), k: () => move(-1), ArrowRight: () => move(1),
  ArrowLeft: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), g: jump,
  t: () => $("tag").focus(), c: () => $("comment").focus(), "/": () => $("search").focus(),
  "?": () => $("keys").showModal(),
};

function onKey(event) {
  const typing = event.target.matches("input, textarea, select");
  if ($("keys").open) return;
  if (event.key === "Escape") {
    if (editing) draw();
    event.target.blur();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (editing) save();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = pack.schema.fields.find((each) => each.values.length);
  if (/^[1-9]$/.test(event.key) && field && rows[shown[place]]) {
    const value = field.values[Number(event.key) - 1];
    if (value !== undefined) {
      event.preventDefault();
      choose(field, value);
    }
    return;
  }
  const act = KEYS[event.key];
  if (!act || (editing && !["?", "t", "c"].includes(event.key))) return;
  event.preventDefault();
  act();
}

function tell(text, wrong = false) {
  $("saved").textContent = text;
  $("saved").className = wrong ? "wrong" : "";
}

const reviewer = () => $("reviewer").value.trim() || "reviewer";

function theme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("distill-review:theme", name); } catch { /* nothing is kept then */ }
}

function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

async function open() {
  // Until a reviewer's own decisions are here there is nothing to decide on: what was decided or
  // typed meanwhile would be lost behind them.
  const turn = loading = Symbol("loading");
  shown = [];
  history = [];
  editing = null;
  $("row").replaceChildren();
  $("count").textContent = $("place").textContent = "";
  buttons(null);
  const said = await store.load(reviewer());
  if (turn !== loading) return; // another name was given in between
  loading = null;
  store.said = said;
  count();
  sift();
  place = Math.max(0, shown.findIndex((at) => !store.said[rows[at].row_id]));
  draw();
}

function download() {
  const blob = new Blob([store.lines().join("\n") + "\n"], { type: "application/jsonl" });
  const link = element("a", { href: URL.createObjectURL(blob),
    download: `${pack.pack_id}.${reviewer().replace(/[^\w.-]/g, "_")}.jsonl` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  tell("downloaded; send that file back");
}

function wire() {
  document.addEventListener("keydown", onKey);
  for (const [id, act] of Object.entries({ accept: () => decide("accept"), edit, save, undo, download,
    cancel: draw, reject: () => decide("reject"), skip: () => decide("skip"), back: () => move(-1),
    next: () => move(1), help: () => $("keys").showModal(), close: () => $("keys").close(),
    theme: () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark") })) {
    $(id).addEventListener("click", act);
  }
  $("filter").addEventListener("change", () => { place = 0; sift(); draw(); $("filter").blur(); });
  $("search").addEventListener("input", () => { sift(shown[place]); draw(); });
  $("comment").addEventListener("input", () => { draft.comment = $("comment").value; });
  $("comment").addEventListener("change", keep);
  $("tag").addEventListener("keydown", (event) => {
    const tag = $("tag").value.trim();
    if (event.key !== "Enter" || !tag) return;
    draft.tags.add(tag);
    $("tag").value = "";
    $("tag").blur();
    drawTags();
    keep();
  });
  $("reviewer").addEventListener("change", () => {
    try { localStorage.setItem("distill-review:name", reviewer()); } catch { /* nothing is kept then */ }
    open().catch((error) => tell(error.message, true));
  });
  window.addEventListener("beforeunload", (event) => {
    if (store.waiting && store.waiting.length) event.preventDefault();
  });
}

async function start() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = remembered("distill-review:theme") || (dark ? "dark" : "light");
  const block = $("data");
  if (block) {
    pack = JSON.parse(block.textContent);
    store = new Browser(pack);
    $("download").hidden = false;
    if (store.broken) tell("what this browser kept could not be read", true);
  } else {
    const answer = await fetch("pack");
    if (!answer.ok) throw new Error("the server does not answer");
    pack = await answer.json();
    store = new Server();
  }
  rows = pack.rows;
  document.title = `Review of ${pack.name}`;
  $("name").textContent = pack.name;
  $("kind").textContent = { correct: "put right what is wrong", gold: "blind: give your own answer",
    adjudicate: "your word is the last one" }[pack.kind];
  $("rubric").textContent = pack.schema.rubric;
  $("reviewer").value = pack.reviewer || remembered("distill-review:name") || "";
  filters();
  wire();
  await open();
}

start().catch((error) => tell(error.message, true));
