// The photos to choose from: the data set's by number, a page at a time, and those dropped in.

import { byId, make, tell, understood } from "./dom.js";

const A_PAGE = 20; // four rows of five

export function photoPicker(start, choose) {
  const thumbnails = byId("thumbnails");
  const uploads = [];
  let first = 0;
  let chosen = 0;

  function tile(key, source, name) {
    const input = make("input", { type: "radio", name: "photo", checked: key === chosen });
    input.addEventListener("change", () => pick(key));
    const image = make("img", { src: source, alt: name, loading: "lazy", title: name });
    const label = make("label", { className: "thumbnail" }, input, image);
    image.addEventListener("error", () => label.classList.add("unreadable"));
    return label;
  }

  function draw() {
    const last = Math.min(first + A_PAGE, start.photos);
    const numbers = Array.from({ length: last - first }, (_, i) => first + i);
    thumbnails.replaceChildren(
      ...uploads.map(({ key, source, name }) => tile(key, source, name)),
      ...numbers.map((n) => tile(n, `/api/thumbnail/${n}`, `photo ${n + 1}`)),
    );
    byId("pages").hidden = start.photos <= A_PAGE;
    byId("range").textContent = `${first + 1}–${last} of ${start.photos.toLocaleString("en")}`;
    byId("earlier").disabled = first === 0;
    byId("later").disabled = last === start.photos;
  }

  function pick(key) {
    chosen = key;
    choose(key);
  }

  function turn(step) {
    first = Math.max(0, Math.min(first + step * A_PAGE, start.photos - 1));
    draw();
  }

  async function take(file) {
    if (!file) return;
    try {
      if (file.size > start.most_upload_bytes) {
        const most = Math.round(start.most_upload_bytes / 2 ** 20);
        throw new Error(`${file.name} is too large: at most ${most} MB are taken`);
      }
      const headers = { "Content-Type": "application/octet-stream" };
      const answer = await understood(await fetch("/api/photo", { method: "POST", body: file, headers }));
      if (!uploads.some(({ key }) => key === answer.photo)) {
        uploads.unshift({ key: answer.photo, source: answer.thumbnail, name: file.name });
      }
      pick(answer.photo);
      draw();
    } catch (error) {
      tell(error);
    }
  }

  byId("earlier").addEventListener("click", () => turn(-1));
  byId("later").addEventListener("click", () => turn(1));
  acceptFiles(take);
  draw();
}

function acceptFiles(take) {
  const input = byId("file");
  input.addEventListener("change", async () => {
    await take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  const body = document.body;
  const over = (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  };
  body.addEventListener("dragenter", over);
  body.addEventListener("dragover", over);
  body.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping");
  });
  body.addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) take(file);
    else tell(new Error("That was no file: save the picture first, then drop the file in."));
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
}
