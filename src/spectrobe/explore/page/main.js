// The page: one state, one question at a time; while one is on its way, only the latest change is asked next.

import { bandSwitches } from "./bands.js";
import { absenceChoice, perturbationChoice } from "./controls.js";
import { allIsWell, ask, byId, make, tell } from "./dom.js";
import { photoPicker } from "./photos.js";
import { profilePanel } from "./profile.js";
import { showLook } from "./stage.js";

const SLOW = 300; // milliseconds after which the page says that it is at work

async function main() {
  const start = await ask("/api/start");
  const state = {
    photo: 0,
    present: start.bands.map(() => true),
    absence: start.absence,
    perturbation: null,
    level: 3,
  };
  introduce(start);

  let bandsAreOf = null;
  const refresh = oneAtATime(async () => {
    const asked = structuredClone(state);
    const look = await ask("/api/look", asked);
    showLook(look, asked);
    profile.classes(look);
    const source = JSON.stringify([asked.photo, asked.perturbation, asked.level]);
    if (source !== bandsAreOf) {
      bands.show((await ask("/api/bands", asked)).bands);
      bandsAreOf = source;
    }
  });
  const change = (changes) => {
    Object.assign(state, changes);
    if ("photo" in changes) profile.forget();
    else if (!("present" in changes)) profile.outdated();
    refresh();
  };

  const profile = profilePanel(start, () => structuredClone(state));
  const bands = bandSwitches(start, (present) => change({ present }));
  absenceChoice(start, (absence) => change({ absence }));
  perturbationChoice(start, (perturbation, level) => change({ perturbation, level }));
  photoPicker(start, (photo) => change({ photo }));
  await refresh();
}

function introduce(start) {
  const [height, width] = start.image_size;
  byId("model").textContent = start.model;
  byId("data").textContent = start.data;
  byId("input-size").textContent = `, ${width} × ${height}`;
  document.body.classList.toggle("small-input", Math.max(height, width) < 128);
  const warnings = byId("warnings");
  warnings.hidden = start.warnings.length === 0;
  warnings.querySelector("ul").replaceChildren(...start.warnings.map((text) => make("li", {}, text)));
}

function oneAtATime(work) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    byId("page").setAttribute("aria-busy", "true");
    const late = setTimeout(() => (byId("busy").hidden = false), SLOW);
    while (again) {
      again = false;
      await work().then(allIsWell(), tell);
    }
    running = false;
    clearTimeout(late);
    byId("busy").hidden = true;
    byId("page").setAttribute("aria-busy", "false");
  };
}

main().catch(tell);
