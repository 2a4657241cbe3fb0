// The pages of offers: rows that are added and taken away, lists that are narrowed, cards that show what is written.
"use strict";

(() => {
  const form = document.getElementById("offer-form");

  // --- pictures that cannot be loaded leave the place to the symbol below them ---------------------------------

  function watch(picture) {
    const leave = () => picture.remove();
    if (picture.complete && !picture.naturalWidth) leave();
    else picture.addEventListener("error", leave);
  }
  document.querySelectorAll("[data-picture]").forEach(watch);

  // --- a frame is as high as what stands in it: no script runs there, so it may be measured -----------------------

  function fit(frame) {
    const page = frame.contentDocument?.documentElement;
    if (page) frame.style.height = `${Math.min(320, Math.max(24, page.scrollHeight))}px`;
  }
  for (const frame of document.querySelectorAll("[data-frame]")) {
    frame.addEventListener("load", () => {
      frame.style.height = "0";
      fit(frame);
    });
    fit(frame);
  }

  // --- a filter that is chosen is asked for at once -------------------------------------------------------------

  for (const choice of document.querySelectorAll("[data-submit]")) {
    choice.addEventListener("change", () => choice.form.requestSubmit());
  }

  // --- the key follows the name until somebody writes it --------------------------------------------------------

  const { name, key } = form?.elements ?? {};
  const slug = (text) =>
    text.normalize("NFKD").replace(/[^\w\s-]/g, "").trim().toLowerCase().replace(/[-\s]+/g, "-").slice(0, 60);
  if (name && key && !key.value) {
    let isOurs = true;
    key.addEventListener("input", () => (isOurs = !key.value));
    name.addEventListener("input", () => isOurs && (key.value = slug(name.value)));
  }

  // --- rows -------------------------------------------------------------------------------------------------------

  function enliven(row) {
    const moves = row.querySelector(".offer-move");
    if (moves) {
      moves.hidden = false;
      moves.querySelector("[data-drop]").addEventListener("click", () => row.remove());
      for (const button of moves.querySelectorAll("[data-move]")) {
        button.addEventListener("click", () => {
          if (button.dataset.move === "1") row.nextElementSibling?.after(row);
          else row.previousElementSibling?.before(row);
          button.focus();
        });
      }
    }
    const place = row.querySelector(".offer-remove");
    const button = place?.querySelector("[data-remove]");
    if (!button) return;
    place.classList.add("is-live");
    button.hidden = false;
    button.addEventListener("click", () => {
      place.querySelector("input[type=checkbox]").checked = true;
      row.hidden = true;
    });
  }
  document.querySelectorAll("[data-row]").forEach(enliven);

  for (const button of document.querySelectorAll("[data-add]")) {
    const prefix = button.dataset.add;
    const list = document.querySelector(`[data-rows="${prefix}"]`);
    const template = document.querySelector(`template[data-row-of="${prefix}"]`);
    const total = form?.elements[`${prefix}-TOTAL_FORMS`] ?? { value: list.children.length + 1 };
    button.hidden = false;
    const last = list.lastElementChild; // an empty row is for those for whom this script did not come
    if (list.children.length > 1 && last.querySelector("[name]").value === "") {
      last.remove();
      total.value = Number(total.value) - 1;
    }
    button.addEventListener("click", () => {
      const made = document.createElement("ul");
      made.innerHTML = template.innerHTML.replaceAll("__prefix__", total.value);
      total.value = Number(total.value) + 1;
      const row = made.firstElementChild;
      list.append(row);
      enliven(row);
      row.querySelector("input, select")?.focus();
    });
  }

  // --- a list of items to pick from, narrowed by a word -----------------------------------------------------------

  for (const box of document.querySelectorAll("[data-filter]")) {
    box.hidden = false;
    box.addEventListener("input", () => {
      const word = box.value.trim().toLowerCase();
      for (const row of document.getElementById(box.dataset.filter).children) {
        row.hidden = !row.dataset.words.includes(word);
      }
    });
    box.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  }

  // --- names that one can put into an expression ------------------------------------------------------------------

  for (const chip of document.querySelectorAll("[data-insert]")) {
    chip.addEventListener("click", () => {
      const field = document.getElementById(chip.dataset.into);
      field.setRangeText(chip.dataset.insert, field.selectionStart, field.selectionEnd, "end");
      field.focus();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }

  // --- what people see --------------------------------------------------------------------------------------------

  const FRAME = "<style>body{margin:0;font:14px/1.5 Inter,Arial,sans-serif;color:#344054;overflow-wrap:anywhere}</style>";

  for (const look of document.querySelectorAll("[data-look]")) {
    const part = (name) => look.querySelector(`[data-part="${name}"]`);
    const field = (name) => look.querySelector(`[name$="-${name}"]`);
    const put = (name, text) => {
      const place = part(name);
      if (place) place.textContent = text;
      return place;
    };
    look.querySelector(".offer-switch input").addEventListener("change", () => {
      if (part("html")) fit(part("html"));
    });
    field("title").addEventListener("input", () => put("title", field("title").value));
    field("body").addEventListener("input", () => {
      const text = field("body").value;
      put("body", text);
      const frame = part("html");
      if (frame) {
        frame.hidden = !text;
        frame.srcdoc = FRAME + text;
      }
    });
    field("link_url").addEventListener("input", () => {
      const place = put("link", field("link_url").value);
      if (place) place.hidden = !field("link_url").value;
    });
    // When it is written to its end: half an address is no picture.
    field("image_url").addEventListener("change", () => {
      const place = part("picture");
      if (!place) return;
      const address = field("image_url").value.trim();
      place.hidden = !address;
      place.replaceChildren();
      if (address) {
        const picture = Object.assign(document.createElement("img"), { src: address, alt: "" });
        watch(picture);
        place.append(picture);
      }
    });
  }
})();
