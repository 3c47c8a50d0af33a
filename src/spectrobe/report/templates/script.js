"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Models on and off: a box switches its model in every chart, and every other box of that model with it.
  document.addEventListener("change", (event) => {
    const key = event.target.dataset?.key;
    if (!key) return;
    all("input[data-key]").filter((box) => box.dataset.key === key).forEach((box) => { box.checked = event.target.checked; });
    all("[data-series]").filter((series) => series.dataset.series === key)
      .forEach((series) => series.classList.toggle("off", !event.target.checked));
  });

  // What a point says, for the point nearest to the pointer.
  const tip = document.getElementById("tip");
  const REACH = 26;
  let near = null;
  const leave = () => { near?.classList.remove("near"); near = null; tip.hidden = true; };
  const nearest = (plot, event) => {
    const box = plot.getBoundingClientRect();
    const scale = box.width / plot.viewBox.baseVal.width;
    let found = null;
    let least = REACH;
    for (const point of plot.querySelectorAll(".series:not(.off) .point")) {
      const distance = Math.hypot(
        box.left + point.dataset.x * scale - event.clientX, box.top + point.dataset.y * scale - event.clientY);
      if (distance < least) { least = distance; found = point; }
    }
    return found;
  };
  const show = (event) => {
    const plot = event.target.closest?.(".plot");
    const point = plot && nearest(plot, event);
    if (!point) return leave();
    if (point !== near) {
      leave();
      near = point;
      point.classList.add("near");
      tip.textContent = point.dataset.says;
    }
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", leave, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });

  // Tables: a click on a column's name sorts by it, numbers from the largest first.
  const sorted = (table, column, direction) => {
    const body = table.tBodies[0];
    const value = (row) => {
      const cell = row.cells[column];
      const given = cell.dataset.v ?? cell.textContent;
      const number = Number(given.replace("inf", "Infinity"));
      return given.trim() !== "" && !Number.isNaN(number) ? number : given;
    };
    const order = (a, b) => typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row) }));
    rows.sort((a, b) => direction * order(a.key, b.key) || a.place - b.place);
    body.append(...rows.map(({ row }) => row));
  };
  all(".sortable thead button").forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th");
    const first = head.classList.contains("n") ? "descending" : "ascending";
    const turned = { ascending: "descending", descending: "ascending" };
    const now = head.getAttribute("aria-sort");
    const next = turned[now] ?? first;
    all("th", head.parentNode).forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", next);
    sorted(head.closest("table"), head.cellIndex, next === "ascending" ? 1 : -1);
  }));

  // On paper everything is unfolded.
  addEventListener("beforeprint", () => all("details:not([open])").forEach((part) => { part.open = true; part.dataset.opened = ""; }));
  addEventListener("afterprint", () => all("details[data-opened]").forEach((part) => { part.open = false; delete part.dataset.opened; }));
})();
