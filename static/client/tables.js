// Before a file is uploaded: its first lines as a table, whose titles choose the column. And a question before a deed.
"use strict";

(() => {
  const SHOWN = 5;

  function cells(line, delimiter) {
    const found = [];
    for (const match of line.matchAll(new RegExp(`(?:^|${delimiter === "\t" ? "\\t" : delimiter})(?:"((?:[^"]|"")*)"|([^${delimiter === "\t" ? "\\t" : delimiter}]*))`, "g"))) {
      found.push((match[1] ?? match[2] ?? "").replaceAll('""', '"').trim());
    }
    return found;
  }

  function preview(form, text) {
    const place = form.querySelector("[data-preview]");
    const lines = text.replace(/^\ufeff/, "").split(/\r?\n/).filter(Boolean).slice(0, SHOWN + 1);
    place.hidden = !lines.length;
    if (!lines.length) return;
    const delimiter = [",", ";", "\t"].reduce((best, each) => (lines[0].split(each).length > lines[0].split(best).length ? each : best));
    const [titles, ...rows] = lines.map((line) => cells(line, delimiter));
    const column = document.getElementById(form.dataset.table);
    const row = (values, name) => {
      const line = document.createElement("tr");
      for (const value of values) {
        const cell = document.createElement(name);
        cell.textContent = value;
        if (name === "th") cell.scope = "col";
        line.append(cell);
      }
      return line;
    };
    const table = place.querySelector("table");
    const head = document.createElement("thead");
    const body = document.createElement("tbody");
    head.append(row(titles, "th"));
    body.append(...rows.map((values) => row(values, "td")));
    table.replaceChildren(head, body);
    if (!column) return;
    column.setAttribute("list", "table-titles");
    document.getElementById("table-titles")?.remove();
    const list = Object.assign(document.createElement("datalist"), { id: "table-titles" });
    list.append(...titles.map((value) => Object.assign(document.createElement("option"), { value })));
    column.after(list);
    const namespace = form.elements.namespace?.selectedOptions[0]?.textContent.trim().toLowerCase();
    if (titles.length > 1 && !column.value) {
      column.value = titles.find((title) => title.toLowerCase().replaceAll("_", " ").includes(namespace ?? "email")) ?? "";
    }
  }

  for (const form of document.querySelectorAll("form[data-table]")) {
    const { file, text } = form.elements;
    file?.addEventListener("change", async () => {
      if (file.files[0]) preview(form, await file.files[0].slice(0, 65_536).text());
    });
    text?.addEventListener("input", () => preview(form, text.value));
  }

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
})();
