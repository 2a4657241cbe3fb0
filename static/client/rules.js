// The rule builder: edits the document of profiles/audiences/builder.py and asks the server what it means.
"use strict";

(() => {
  const boot = JSON.parse(document.getElementById("rule-boot")?.textContent ?? "null");
  if (!boot) return;

  const words = document.getElementById("rule-words").dataset;
  const form = document.getElementById("rule-form");
  const place = document.getElementById("rule-builder");
  const source = document.getElementById("rule-source");
  const estimate = document.getElementById("rule-estimate");
  const modes = document.getElementById("rule-modes");
  const problemList = document.getElementById("rule-problems");
  const operators = new Map(boot.operators.map((each) => [each.name, each]));
  const attributes = new Map(boot.attributes.map((each) => [each.key, each]));
  const known = new Map(); // address → what the server suggests
  const COUNTS = ["at_least", "at_most", "equal", "more", "less"];
  const UNITS = { d: words.days, w: words.weeks, h: words.hours, m: words.minutes };
  const MAX_DEPTH = 4;

  let rule = boot.document;
  let mode = rule ? "builder" : "text";
  let serial = 0;

  // --- small tools ---------------------------------------------------------------------------------------------

  function el(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false && value != null) node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }

  const icon = (name) => el("span", { class: "material-symbols-outlined", "aria-hidden": "true" }, name);

  function select(label, options, value, onchange) {
    const node = el("select", { "aria-label": label, disabled: !boot.isEditable, onchange: () => onchange(node.value) });
    for (const [key, text, group] of options) {
      let parent = node;
      if (group) {
        parent = [...node.querySelectorAll("optgroup")].find((each) => each.label === group);
        if (!parent) node.append((parent = el("optgroup", { label: group })));
      }
      parent.append(el("option", { value: key, selected: key === value }, text));
    }
    return node;
  }

  function input(label, value, oninput, more = {}) {
    const node = el("input", { "aria-label": label, value, readonly: !boot.isEditable, ...more });
    node.addEventListener("input", () => oninput(node.value));
    return node;
  }

  function withOptions(node, values) {
    if (!values?.length) return [node];
    const id = `rule-options-${(serial += 1)}`;
    node.setAttribute("list", id);
    return [node, el("datalist", { id }, ...values.map((value) => el("option", { value })))];
  }

  async function suggested(query) {
    const address = `${boot.suggestUrl}?${new URLSearchParams(query)}`;
    if (!known.has(address)) {
      known.set(address, fetch(address).then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({})));
    }
    return known.get(address);
  }

  // --- the document --------------------------------------------------------------------------------------------

  // Rows in which nobody did anything yet: that they are empty is no mistake to be told of.
  const untouched = new WeakSet();

  function newRow() {
    const row = { subject: { attribute: "" }, operator: "equal", value: null };
    untouched.add(row);
    return row;
  }

  const newPropertyRow = () => ({ subject: { property: "" }, operator: "equal", value: null });
  const kindOf = (subject) =>
    "audience" in subject ? "audience" : "count" in subject ? "count" : "sum" in subject ? "sum" : "lookup" in subject ? "lookup" : "attribute";

  // A row keeps what is not part of the document, such as the type of an attribute that nobody declared, beside it.
  const notes = new WeakMap();
  const noteOf = (row) => notes.get(row) ?? notes.set(row, {}).get(row);

  function typeOf(row) {
    const note = noteOf(row);
    if (note.type) return note.type;
    const { lookup, column, attribute } = row.subject;
    const declared = lookup == null ? attributes.get(attribute)?.type : lookupOf(lookup)?.columns.find((each) => each.name === column)?.type;
    if (declared && declared !== "any") return declared;
    const literal = Array.isArray(row.value) ? row.value[0] : row.value;
    if (literal && literal.type !== "duration") return literal.type;
    const wanted = operators.get(row.operator);
    return wanted?.types.length === 1 ? wanted.types[0] : wanted?.wants === "duration" ? "time" : "text";
  }

  const operatorsFor = (type) => boot.operators.filter((each) => each.types.includes(type));

  const lookupOf = (key) => boot.lookups.find((each) => each.key === key);

  function fit(row) {
    // After another subject: an operator that is offered for it, and no value of another type.
    const type = typeOf(row);
    if (!operatorsFor(type).some((each) => each.name === row.operator)) {
      row.operator = operatorsFor(type)[0].name;
      row.value = null;
    }
    const literal = Array.isArray(row.value) ? row.value[0] : row.value;
    if (literal && literal.type !== "duration" && literal.type !== type && type !== "list") row.value = null;
  }

  function typed(row) {
    // Before it is sent: notes are not part of it, and an empty list of values is no value.
    if ("rows" in row) return { match: row.match, rows: row.rows.map(typed) };
    const subject = { ...row.subject };
    if (subject.where) subject.where = subject.where.rows.length ? typed(subject.where) : null;
    return { subject, operator: row.operator, value: row.value };
  }

  function simplified(group) {
    // A group that lost its rows goes.
    const rows = group.rows.map((row) => ("rows" in row ? simplified(row) : row)).filter((row) => row.rows?.length !== 0);
    return { match: group.match, rows };
  }

  // --- rows ----------------------------------------------------------------------------------------------------

  function changed(isShape) {
    if (isShape) render();
    schedule();
  }

  function literalInput(row, type, literal, onchange, values) {
    switch (type) {
      case "boolean":
        return [
          select(words.value, [["", words.choose], ["yes", words.yes], ["no", words.no]], literal ? (literal.value ? "yes" : "no") : "", (value) =>
            onchange(value ? { type, value: value === "yes" } : null),
          ),
        ];
      case "money": {
        const money = literal?.value ?? { amount: "", currency: "EUR" };
        const put = (change) => {
          Object.assign(money, change);
          onchange(money.amount ? { type, value: { ...money } } : null);
        };
        return [
          input(words.amount, money.amount, (amount) => put({ amount }), { inputmode: "decimal", class: "rule-number" }),
          input(words.currency, money.currency, (currency) => put({ currency: currency.toUpperCase() }), { maxlength: 3, class: "rule-currency" }),
        ];
      }
      case "time": {
        const hasClock = literal?.value?.includes("T");
        return [
          input(words.value, literal?.value ?? "", (value) => onchange(value ? { type, value } : null), hasClock ? {} : { type: "date" }),
        ];
      }
      case "number":
        return [
          input(words.value, literal?.value ?? "", (value) => onchange(value ? { type, value } : null), { inputmode: "decimal", class: "rule-number" }),
        ];
      default:
        return withOptions(
          input(words.value, literal?.value ?? "", (value) => onchange(value ? { type: "text", value } : null)),
          values,
        );
    }
  }

  function durationInput(text, onchange, isRequired = true) {
    // Only one unit is shown; what is written otherwise, such as 1d12h, stays as it is until it is changed.
    const found = /^(\d+)([wdhm])$/.exec(text) ?? [null, text.replace(/[a-z]+$/, ""), "d"];
    let [, n, unit] = found;
    const put = () => onchange(n || isRequired ? `${n}${n ? unit : ""}` : "");
    return [
      input(words.length, n, (value) => ((n = value.trim()), put()), { inputmode: "numeric", class: "rule-number" }),
      select(words.unit, Object.entries(UNITS), unit, (value) => ((unit = value), put())),
    ];
  }

  function valueInputs(row, type, values) {
    const put = (value) => {
      row.value = value;
      changed(false);
    };
    const literalType = type === "list" ? (row.value?.type ?? "text") : type === "any" ? "text" : type;
    switch (operators.get(row.operator).wants) {
      case "nothing":
        return [];
      case "duration":
        return durationInput(row.value?.value ?? "", (value) => put(value ? { type: "duration", value } : null));
      case "many": {
        const lines = (row.value ?? []).map((each) => each.value).join("\n");
        const area = el("textarea", { "aria-label": words.values, rows: Math.max(2, (row.value ?? []).length), readonly: !boot.isEditable, placeholder: words.values });
        area.value = lines;
        area.addEventListener("input", () =>
          put(area.value.split("\n").map((each) => each.trim()).filter(Boolean).map((value) => ({ type: literalType, value }))),
        );
        return [area];
      }
      case "text":
        return literalInput(row, "text", row.value, put, values);
      default:
        return literalInput(row, literalType, row.value, put, values);
    }
  }

  function comparison(row, values) {
    const type = typeOf(row);
    return [
      select(
        words.operator,
        operatorsFor(type).map((each) => [each.name, each.label]),
        row.operator,
        (name) => {
          const before = operators.get(row.operator).wants;
          row.operator = name;
          if (operators.get(name).wants !== before) row.value = null;
          changed(true);
        },
      ),
      ...valueInputs(row, type, values),
    ];
  }

  function typeSelect(row) {
    const shown = ["text", "number", "boolean", "time", "money", "list"].map((type) => [type, words[type]]);
    return select(words.type, shown, typeOf(row), (type) => {
      noteOf(row).type = type;
      fit(row);
      changed(true);
    });
  }

  function subjectSelect(row) {
    const { subject } = row;
    const kind = kindOf(subject);
    const isOther = kind === "attribute" && (noteOf(row).isOther || (subject.attribute && !attributes.has(subject.attribute)));
    const options = [
      ["", words.choose],
      ...boot.attributes.map((each) => [`attribute:${each.key}`, each.label, words.attributes]),
      ["other", words.other, words.attributes],
      ["count", words.count, words.events],
      ["sum", words.sum, words.events],
      ["audience", words.audience, words.others],
      ...(boot.lookups.length || kind === "lookup" ? [["lookup", words.lookup, words.others]] : []),
    ];
    const value = kind !== "attribute" ? kind : isOther ? "other" : subject.attribute ? `attribute:${subject.attribute}` : "";
    return select(words.about, options, value, (chosen) => {
      notes.delete(row);
      row.value = null;
      if (chosen.startsWith("attribute:")) row.subject = { attribute: chosen.slice(10) };
      else if (chosen === "count") Object.assign(row, { subject: { count: "", within: "", where: null }, operator: "at_least", value: { type: "number", value: "1" } });
      else if (chosen === "sum") Object.assign(row, { subject: { sum: "", property: "", within: "", where: null }, operator: "at_least" });
      else if (chosen === "audience") Object.assign(row, { subject: { audience: "" }, operator: "true" });
      else if (chosen === "lookup") row.subject = { lookup: boot.lookups[0].key, attribute: "", column: boot.lookups[0].columns[0]?.name ?? "" };
      else {
        row.subject = { attribute: "" };
        noteOf(row).isOther = chosen === "other";
      }
      if (["attribute", "lookup"].includes(kindOf(row.subject))) fit(row);
      changed(true);
    });
  }

  function attributeControls(row) {
    const controls = [];
    const note = noteOf(row);
    const isOther = note.isOther || (row.subject.attribute && !attributes.has(row.subject.attribute));
    if (isOther) {
      controls.push(
        input(words.path, row.subject.attribute, (name) => {
          note.isOther = true;
          row.subject.attribute = name.trim();
          changed(false);
        }, { placeholder: words.path }),
        typeSelect(row),
      );
    } else if (!row.subject.attribute) return [];
    const fields = el("span", { class: "rule-fields" }, ...comparison(row));
    if (row.subject.attribute) {
      suggested({ attribute: row.subject.attribute }).then(({ values }) => {
        const box = fields.querySelector("input:not([list]):not([type]):not([inputmode])");
        if (values?.length && box && operators.get(row.operator).wants === "one") {
          const [, list] = withOptions(box, values);
          fields.append(list);
        }
      });
    }
    return [...controls, fields];
  }

  function lookupControls(row) {
    const { subject } = row;
    const put = (change) => {
      Object.assign(subject, change);
      fit(row);
      changed(true);
    };
    const named = (options, value) => (value && !options.some(([key]) => key === value) ? [...options, [value, value]] : options);
    const tables = boot.lookups.map((each) => [each.key, each.name]);
    const columns = (lookupOf(subject.lookup)?.columns ?? []).map(({ name }) => [name, name]);
    const keys = [["", words.choose], ...boot.attributes.filter((each) => ["text", "any"].includes(each.type)).map((each) => [each.key, each.label])];
    return [
      select(words.lookupName, named(tables, subject.lookup), subject.lookup, (lookup) => put({ lookup, column: lookupOf(lookup)?.columns[0]?.name ?? "" })),
      el("span", {}, words.rowOf),
      select(words.rowKey, named(keys, subject.attribute), subject.attribute, (attribute) => put({ attribute })),
      select(words.column, named(columns, subject.column), subject.column, (column) => put({ column })),
      el("span", { class: "rule-fields" }, ...comparison(row)),
    ];
  }

  function whenControls(subject) {
    const part = el("span", { class: "rule-fields" });
    part.append(
      select(words.when, [["", words.ever], ["last", words.last]], subject.within ? "last" : "", (value) => {
        subject.within = value ? "7d" : "";
        changed(true);
      }),
    );
    if (subject.within) {
      part.append(...durationInput(subject.within, (value) => {
        subject.within = value || "0d";
        changed(false);
      }));
    }
    return part;
  }

  function eventInput(subject, name) {
    return withOptions(
      input(words.event, subject[name], (value) => {
        subject[name] = value;
        changed(false);
      }, { placeholder: words.event }),
      boot.events,
    );
  }

  function propertyInput(get, put, subject, more = {}) {
    const box = input(words.property, get(), put, { placeholder: words.property, ...more });
    const shown = el("span", { class: "rule-fields" }, box);
    // Asked for when it is about to be typed: the event may have got its name only just before.
    box.addEventListener("focus", async () => {
      const { properties } = await suggested({ event: subject.count ?? subject.sum });
      if (!properties?.length) return;
      shown.querySelector("datalist")?.remove();
      shown.append(withOptions(box, properties.map((each) => each.key))[1]);
    });
    return shown;
  }

  function numberComparison(row) {
    const labels = { at_least: words.atLeast, at_most: words.atMost, equal: words.equal, more: words.more, less: words.less };
    const names = COUNTS.map((name) => [name, labels[name]]);
    const isNever = "count" in row.subject && row.operator === "equal" && row.value?.value === "0";
    if ("count" in row.subject) names.push(["never", words.never]);
    const put = (value) => {
      row.value = value ? { type: "number", value } : null;
      changed(false);
    };
    const part = el("span", { class: "rule-fields" });
    part.append(
      select(words.often, names, isNever ? "never" : row.operator, (name) => {
        if (name === "never") Object.assign(row, { operator: "equal", value: { type: "number", value: "0" } });
        else {
          row.operator = name;
          if (isNever) row.value = { type: "number", value: "1" };
        }
        changed(true);
      }),
    );
    if (!isNever) part.append(input(words.value, row.value?.value ?? "", put, { inputmode: "decimal", class: "rule-number" }));
    if (!isNever && "count" in row.subject) part.append(el("span", {}, words.times));
    return part;
  }

  function whereLine(subject, row, index) {
    const { where } = subject;
    const joint = index
      ? select(words.where, [["all", words.and], ["any", words.or]], where.match === "any" ? "any" : "all", (match) => {
          where.match = match;
          changed(true);
        })
      : el("span", {}, words.where);
    const property = propertyInput(
      () => row.subject.property,
      (name) => {
        row.subject.property = name.trim();
        changed(false);
      },
      subject,
      {
        onchange: async () => {
          const { properties } = await suggested({ event: subject.count ?? subject.sum });
          const found = properties?.find((each) => each.key === row.subject.property);
          if (!found || found.type === typeOf(row)) return;
          noteOf(row).type = found.type;
          fit(row);
          line.replaceWith(whereLine(subject, row, index));
          schedule();
        },
      },
    );
    const line = el("div", { class: "rule-where" }, joint, property, typeSelect(row), el("span", { class: "rule-fields" }, ...comparison(row)), removeButton(() => {
      where.rows.splice(index, 1);
      if (!where.rows.length) subject.where = null;
    }));
    return line;
  }

  function whereControls(subject) {
    const lines = (subject.where?.rows ?? []).map((row, index) => whereLine(subject, row, index));
    if (boot.isEditable) {
      lines.push(el("button", {
        type: "button",
        class: "rule-link",
        onclick: () => {
          subject.where ??= { match: "all", rows: [] };
          subject.where.rows.push(newPropertyRow());
          changed(true);
        },
      }, lines.length ? words.add : words.addWhere));
    }
    return lines;
  }

  function controls(row) {
    const { subject } = row;
    switch (kindOf(subject)) {
      case "count":
        return [...eventInput(subject, "count"), numberComparison(row), whenControls(subject), ...whereControls(subject)];
      case "sum":
        return [
          propertyInput(() => subject.property, (name) => {
            subject.property = name.trim();
            changed(false);
          }, subject),
          ...eventInput(subject, "sum"),
          numberComparison(row),
          whenControls(subject),
          ...whereControls(subject),
        ];
      case "audience":
        return [
          select(words.operator, [["true", words.isIn], ["untrue", words.isNotIn]], row.operator, (name) => {
            row.operator = name;
            changed(false);
          }),
          select(words.audience, audienceOptions(subject.audience), subject.audience, (key) => {
            subject.audience = key;
            changed(false);
          }),
        ];
      case "lookup":
        return lookupControls(row);
      default:
        return attributeControls(row);
    }
  }

  function audienceOptions(key) {
    const options = [["", words.choose], ...boot.audiences.map((each) => [each.key, each.name])];
    return key && !boot.audiences.some((each) => each.key === key) ? [...options, [key, key]] : options;
  }

  function removeButton(remove) {
    if (!boot.isEditable) return null;
    return el("button", {
      type: "button", class: "rule-icon", "aria-label": words.remove, title: words.remove,
      onclick: () => {
        remove();
        changed(true);
      },
    }, icon("close"));
  }

  function copyButton(rows, index) {
    if (!boot.isEditable) return null;
    return el("button", {
      type: "button", class: "rule-icon", "aria-label": words.copy, title: words.copy,
      onclick: () => {
        rows.splice(index + 1, 0, structuredClone(rows[index]));
        changed(true);
      },
    }, icon("content_copy"));
  }

  function drawRow(row, rows, index, path) {
    const problem = el("p", { class: "rule-problem", hidden: true });
    const item = el("li", {
      class: "rule-row", "data-path": path,
      oninput: () => untouched.delete(row),
      onfocusout: (event) => {
        if (!untouched.has(row) || !event.relatedTarget || item.contains(event.relatedTarget)) return;
        untouched.delete(row);
        problem.hidden = !problem.textContent;
      },
    },
      el("div", { class: "rule-line" }, subjectSelect(row), ...controls(row)),
      el("span", { class: "rule-tools" }, copyButton(rows, index), removeButton(() => rows.splice(index, 1))),
      problem,
    );
    item.isQuiet = () => untouched.has(row);
    return item;
  }

  function drawGroup(group, path, depth, remove) {
    const rows = group.rows.map((row, index) => {
      const inner = path ? `${path}.${index}` : String(index);
      return "rows" in row
        ? el("li", { class: "rule-row rule-inner", "data-path": inner },
            drawGroup(row, inner, depth + 1, () => group.rows.splice(index, 1)), el("p", { class: "rule-problem", hidden: true }))
        : drawRow(row, group.rows, index, inner);
    });
    const head = el("div", { class: "rule-head" },
      el("span", {}, words.match),
      select(words.match, [["all", words.all], ["any", words.any], ["none", words.none]], group.match, (match) => {
        group.match = match;
        changed(false);
      }),
      el("span", {}, words.holds),
      remove ? removeButton(remove) : null,
    );
    const buttons = el("div", { class: "rule-buttons" });
    if (boot.isEditable) {
      const add = (made) => () => {
        group.rows.push(made());
        changed(true);
      };
      buttons.append(el("button", { type: "button", class: "shell-button", onclick: add(newRow) }, icon("add"), words.add));
      if (depth < MAX_DEPTH - 1) {
        buttons.append(el("button", { type: "button", class: "shell-button", onclick: add(() => ({ match: "any", rows: [newRow(), newRow()] })) }, icon("data_object"), words.addGroup));
      }
    }
    return el("div", { class: "rule-group" }, head, el("ul", { class: "rule-rows" }, ...rows), buttons);
  }

  function focusPlace() {
    // Which control of which row has the focus, to give it back when the rows are drawn again.
    const active = document.activeElement;
    const row = active?.closest?.("[data-path]");
    if (!row || !place.contains(active)) return null;
    return [row.dataset.path, [...row.querySelectorAll("select, input, textarea, button")].indexOf(active)];
  }

  function render() {
    const focus = focusPlace();
    place.replaceChildren(drawGroup(rule, "", 0, null));
    if (focus) {
      const row = place.querySelector(`[data-path="${focus[0]}"]`) ?? place;
      row.querySelectorAll("select, input, textarea, button")[Math.max(0, focus[1])]?.focus();
    }
    showProblems(problems);
  }

  // --- what the server says --------------------------------------------------------------------------------------

  let problems = boot.problems;
  let timer = 0;
  let running = null;

  function showProblems(found) {
    problems = found;
    for (const line of place.querySelectorAll(".rule-problem")) {
      line.hidden = true;
      line.textContent = "";
    }
    const general = [];
    for (const { path, message } of found) {
      const row = mode === "builder" && path !== "" ? place.querySelector(`[data-path="${path}"] > .rule-problem`) : null;
      if (row) {
        row.textContent = message;
        row.hidden = Boolean(row.parentElement.isQuiet?.());
      } else general.push(message);
    }
    problemList.replaceChildren(...general.map((message) => el("li", {}, message)));
  }

  function schedule() {
    clearTimeout(timer);
    timer = setTimeout(ask, 350);
  }

  const asked = () => (mode === "builder" ? { document: typed(simplified(rule)) } : { text: source.value });
  const isEmpty = () => (mode === "builder" ? !simplified(rule).rows.length : !source.value.trim());

  async function ask() {
    running?.abort();
    if (isEmpty()) {
      showEstimate(null);
      showProblems([]);
      return;
    }
    const controller = (running = new AbortController());
    estimate.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(boot.previewUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
        body: JSON.stringify(asked()),
        signal: controller.signal,
      });
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.json());
    } catch (error) {
      if (error.name === "AbortError") return;
      showProblems([{ path: "", message: words.away }]);
    }
    if (running === controller) estimate.removeAttribute("aria-busy");
  }

  function take(said) {
    showProblems(said.problems);
    if (said.problems.length) {
      showEstimate(null);
      return;
    }
    if (mode === "builder") source.value = said.text;
    else {
      rule = said.document;
      modes.querySelector("[data-mode=builder]").disabled = !rule;
      document.getElementById("rule-only-text").hidden = Boolean(rule);
    }
    showEstimate(said.estimate, said.doubts);
  }

  function showEstimate(found, doubts = []) {
    const part = (name) => estimate.querySelector(`[data-part=${name}]`);
    estimate.hidden = false;
    const share = found?.share ?? 0;
    part("count").textContent = found?.count != null ? `${found.isExact ? "" : "≈ "}${found.count.toLocaleString("en")}` : "–";
    part("share").textContent = found?.share != null
      ? words.of.replace("{share}", share > 0 && share < 0.1 ? "< 0.1" : share.toFixed(share > 0 && share < 10 ? 1 : 0)).replace("{of}", found.of.toLocaleString("en"))
      : "";
    part("bar").style.width = `${share}%`;
    part("note").textContent = found?.note ?? "";
    part("doubts").textContent = doubts.join(" ");
    const people = found?.sample ?? [];
    part("sample").replaceChildren(
      ...people.map((person) => el("li", {}, el("a", { class: "people-link", href: person.url }, person.name), person.email && person.email !== person.name ? el("span", { class: "people-muted" }, ` ${person.email}`) : null)),
      ...(found && !people.length && found.count === 0 ? [el("li", { class: "people-muted" }, words.nobody)] : []),
    );
  }

  // --- modes -----------------------------------------------------------------------------------------------------

  function show(wanted) {
    mode = wanted;
    for (const button of modes.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    place.hidden = mode !== "builder";
    document.getElementById("rule-text").hidden = mode !== "text";
    if (mode === "builder") render();
    else showProblems(problems);
  }

  modes.hidden = false;
  modes.after(el("span", { id: "rule-only-text", class: "people-muted", hidden: Boolean(rule) }, words.onlyText));
  modes.querySelector("[data-mode=builder]").disabled = !rule;
  modes.addEventListener("click", async (event) => {
    const wanted = event.target.closest("button")?.dataset.mode;
    if (!wanted || wanted === mode) return;
    // First what is shown now is understood: the other side is made from it. What is unfinished stays where it is.
    clearTimeout(timer);
    await ask();
    if (problems.length) return;
    if (isEmpty()) {
      source.value = "";
      rule = { match: "all", rows: [newRow()] };
    }
    if (wanted === "text" || rule) show(wanted);
  });
  source.addEventListener("input", schedule);
  form.addEventListener("submit", () => {
    form.elements.mode.value = mode;
    form.elements.document.value = mode === "builder" ? JSON.stringify(typed(simplified(rule))) : "";
  });
  if (rule && !rule.rows.length && boot.isEditable) rule.rows.push(newRow());
  show(mode);
  ask();
})();
