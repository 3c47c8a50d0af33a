// What stands in for absent bands, and how the photo is disturbed first.

import { byId, make } from "./dom.js";

export function absenceChoice(start, changed) {
  const options = start.absences.map(({ name, title, hint }) => {
    const input = make("input", { type: "radio", name: "absence", value: name, checked: name === start.absence });
    input.addEventListener("change", () => changed(name));
    const text = make("span", {}, make("b", {}, title), make("span", { className: "hint" }, hint));
    return make("label", { className: "option" }, input, text);
  });
  byId("absences").replaceChildren(...options);
}

export function perturbationChoice(start, changed) {
  const select = byId("perturbation");
  const level = byId("level");
  for (const group of new Set(start.perturbations.map((choice) => choice.group))) {
    const members = start.perturbations.filter((choice) => choice.group === group);
    const options = members.map(({ name, title }) => make("option", { value: name }, title));
    select.append(make("optgroup", { label: group }, ...options));
  }

  function tellChange() {
    const chosen = start.perturbations.find(({ name }) => name === select.value);
    byId("level-field").hidden = !chosen;
    byId("perturbation-hint").textContent = chosen ? `${chosen.hint}.` : "";
    if (chosen) {
      level.max = chosen.levels.length;
      byId("level-name").textContent = chosen.levels[level.value - 1];
      level.setAttribute("aria-valuetext", chosen.levels[level.value - 1]);
    }
    changed(chosen?.name ?? null, Number(level.value));
  }

  select.addEventListener("change", tellChange);
  level.addEventListener("input", tellChange);
}
