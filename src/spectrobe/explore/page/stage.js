// What the model sees and what it answers.

import { byId, make, percent } from "./dom.js";

export function showLook(look, state) {
  showPictures(look.pictures, state);
  showVerdict(look);
  byId("answers").replaceChildren(...look.answers.map((answer) => row(answer, look)));
}

function showPictures(pictures, state) {
  const on = state.present.filter(Boolean).length;
  const disturbed = state.perturbation ? "the disturbed photo" : "the photo";
  picture("seen", pictures.seen, `${disturbed} with ${on} of ${state.present.length} bands switched on`);
  byId("seen-note").textContent = pictures.seen.note;
  byId("term-photo-title").textContent = disturbed;
  picture("term-photo", pictures.photo, disturbed);
  picture("term-removed", pictures.removed, "the part that is switched off");
  picture("term-standing-in", pictures.standing_in, "what stands in for it");
  picture("term-seen", pictures.seen, "what the model sees");
  byId("removed-note").textContent = pictures.removed ? pictures.removed.note : "nothing is off";
  byId("standing-in-note").textContent = pictures.standing_in ? pictures.standing_in.note : "";
}

function picture(id, shown, description) {
  const image = byId(id);
  image.closest("figure")?.classList.toggle("empty", !shown);
  if (shown) image.src = shown.src;
  else image.removeAttribute("src");
  image.alt = shown ? description : "";
}

function showVerdict({ answers, first, label }) {
  const [top] = answers;
  const same = top.index === first.index;
  byId("verdict").replaceChildren(make("strong", {}, top.name), ` ${percent(top.probability)}`);
  const intact = same ? `${percent(first.intact)} with the intact photo` : `it was ${first.name} with the intact photo`;
  const labelled = label ? ` · labelled ${label.name}` : "";
  byId("compared").textContent = (same ? intact : `Changed: ${intact}`) + labelled;
  byId("verdict").classList.toggle("changed", !same);
}

function row(answer, { label, first }) {
  const track = make("span", { className: "track" }, make("span", { className: "fill" }), make("span", { className: "tick" }));
  track.firstChild.style.width = `${100 * answer.probability}%`;
  track.lastChild.style.left = `${100 * answer.intact}%`;
  const name = make("span", { className: "name" }, answer.name);
  if (answer.index === label?.index) name.append(make("span", { className: "tag" }, "label"));
  else if (answer.index === first.index) name.append(make("span", { className: "tag" }, "intact"));
  const share = make("span", { className: "share" }, percent(answer.probability));
  const before = make("span", { className: "unseen" }, `, ${percent(answer.intact)} with the intact photo`);
  return make("li", {}, name, share, before, track);
}
