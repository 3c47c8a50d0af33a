// The Shapley values of this photo's bands: asked for with one press, measured with progress, drawn as bars.

import { byId, make, percent, tell } from "./dom.js";

const MINUS = "\u2212";

export function profilePanel(start, question) {
  byId("passes").textContent = start.profile_passes.toLocaleString("en");
  let running = null;

  byId("cancel").addEventListener("click", () => running?.abort());
  byId("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    busy(true);
    const asked = { ...question(), class: Number(byId("class").value) };
    try {
      const profile = await measured(asked, running.signal);
      byId("chart").replaceChildren(...chart(profile, start.bands, asked));
      byId("chart").classList.remove("outdated");
      byId("chart").hidden = false;
      byId("progress-text").textContent = "Done.";
      tell(null);
    } catch (error) {
      byId("progress-text").textContent = "";
      if (error.name !== "AbortError") tell(error);
    } finally {
      running = null;
      busy(false);
    }
  });

  return {
    classes(look) {
      const select = byId("class");
      const usual = (look.label ?? look.first).index;
      const wanted = select.value === "" ? usual : Number(select.value);
      const known = new Map([look.label, look.first, ...look.answers].filter(Boolean).map((a) => [a.index, a.name]));
      select.replaceChildren(...[...known].map(([index, name]) => make("option", { value: index }, name)));
      select.value = known.has(wanted) ? wanted : usual;
    },
    forget() {
      byId("class").replaceChildren();
      byId("chart").hidden = true;
      byId("progress-text").textContent = "";
    },
    outdated() {
      byId("chart").classList.add("outdated");
      if (!byId("chart").hidden) byId("progress-text").textContent = "The choices have changed since: measure again.";
    },
  };
}

function busy(yes) {
  byId("measure").disabled = yes;
  byId("cancel").hidden = byId("progress").hidden = !yes;
  byId("progress").value = 0;
}

async function measured(asked, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch("/api/profile", { method: "POST", body: JSON.stringify(asked), headers, signal });
  for await (const line of lines(response)) {
    if (line.error) throw new Error(line.error);
    if (line.profile) return line.profile;
    byId("progress").max = line.of;
    byId("progress").value = line.done;
    byId("progress-text").textContent = `${line.done} of ${line.of} looks`;
  }
  throw new TypeError("the stream ended early");
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const pieces = (rest + (value ?? "")).split("\n");
    rest = done ? "" : pieces.pop();
    for (const piece of pieces) if (piece) yield JSON.parse(piece);
    if (done) return;
  }
}

function chart(profile, bands, asked) {
  const low = Math.min(0, ...profile.shapley);
  const span = Math.max(0, ...profile.shapley) - low || 1;
  const zero = -low / span;
  const body = make("tbody", {}, ...profile.shapley.map((value, i) => bar(value, bands[i], zero, span)));
  const headings = ["waves", "cycles/pixel", "cycles/image", "nats", ""];
  const head = make("thead", {}, make("tr", {}, ...headings.map((text, i) => heading(text, i === headings.length - 1))));
  const caption = make("caption", {}, make("b", {}, profile.class_name), settings(asked));
  const table = make("table", { className: "bars" }, caption, head, body);
  return [table, total(profile), make("p", { className: "caveat" }, make("b", {}, "One photo, no interval. "), CAVEAT)];
}

const CAVEAT =
  "These bars are exact for this photo, and say nothing about others: there is no interval over images. " +
  "For a statement about the model, run spectrobe decompose on a data set.";

function heading(text, drawn) {
  const cell = make("th", { scope: "col" }, drawn ? make("span", { className: "unseen" }, "bar") : text);
  return cell;
}

function bar(value, band, zero, span) {
  const fill = make("span", { className: value < 0 ? "fill against" : "fill" });
  const length = Math.abs(value) / span;
  fill.style.left = `${100 * (value < 0 ? zero - length : zero)}%`;
  fill.style.width = `${100 * length}%`;
  const axis = make("span", { className: "axis" });
  axis.style.left = `${100 * zero}%`;
  const drawn = make("td", { className: "drawn" }, make("span", { className: "track" }, fill, axis));
  const written = `${value < 0 ? MINUS : "+"}${Math.abs(value).toFixed(2)}`;
  const cells = [band.per_pixel, band.per_image].map((text) => make("td", { className: "cycles" }, text));
  const waves = make("th", { scope: "row" }, band.waves);
  return make("tr", {}, waves, ...cells, make("td", { className: "value" }, written), drawn);
}

function total({ shapley, empty, full }) {
  const sum = shapley.reduce((a, b) => a + b, 0);
  const sign = sum < 0 ? MINUS : "+";
  return make(
    "p",
    { className: "hint" },
    `The bars add up to ${sign}${Math.abs(sum).toFixed(2)} nats of log-probability: from ${percent(empty)} with all bands ` +
      `switched off to ${percent(full)} with all of them on. A bar of +0.69 doubles the probability, ${MINUS}0.69 halves it.`,
  );
}

function settings({ absence, perturbation, level }) {
  const disturbed = perturbation ? `, ${perturbation.replaceAll("_", " ")} at level ${level}` : "";
  return ` · absence ${absence}${disturbed}`;
}
