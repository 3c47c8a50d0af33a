// One switch a band, from long waves to short ones.

import { byId, make } from "./dom.js";

export function bandSwitches(start, changed) {
  const inputs = start.bands.map(() => make("input", { type: "checkbox", checked: true }));
  const images = start.bands.map(() => make("img", { alt: "", className: "pixels" }));
  const contrasts = start.bands.map(() => make("span", { className: "contrast" }));
  byId("bands").style.setProperty("--bands", start.bands.length);
  byId("bands").replaceChildren(...start.bands.map((band, i) => card(band, inputs[i], images[i], contrasts[i])));

  const present = () => inputs.map((input) => input.checked);
  for (const input of inputs) input.addEventListener("change", () => changed(present()));

  const half = Math.ceil(inputs.length / 2);
  const presets = {
    all: () => true,
    none: () => false,
    long: (i) => i < half,
    short: (i) => i >= half,
    swap: (i) => !inputs[i].checked,
  };
  for (const button of document.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      const wanted = inputs.map((_, i) => presets[button.dataset.preset](i));
      inputs.forEach((input, i) => (input.checked = wanted[i]));
      changed(wanted);
    });
  }

  return {
    show(pictures) {
      pictures.forEach((picture, i) => {
        images[i].src = picture.src;
        contrasts[i].textContent = picture.gain === 1 ? "" : `× ${picture.gain}`;
      });
    },
  };
}

function card(band, input, image, contrast) {
  const waves = make("span", { className: "waves" }, band.waves);
  const cycles = make("span", { className: "cycles" }, `${band.per_pixel} cycles/px`);
  const state = make("span", { className: "state" });
  state.setAttribute("aria-hidden", "true"); // the checkbox says it
  return make("label", { className: "card" }, input, make("span", { className: "view" }, image, contrast, state), waves, cycles);
}
