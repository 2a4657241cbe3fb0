// The mailbox without reloads: new messages appear, links open in the right pane, tabs and widths switch.
// Every page is complete without this file; it asks the same addresses and exchanges the parts.
(() => {
  "use strict";

  const POLL_MS = 2000;
  const root = document.getElementById("mailbox");
  const stream = document.getElementById("mailbox-stream");
  const pane = document.getElementById("mailbox-message");
  const status = document.getElementById("mailbox-status");
  let wanted = 0; // the latest page asked for: an older answer that comes late is thrown away

  const list = () => document.getElementById("mailbox-list");
  const newest = (container) => Number(container.querySelector("#mailbox-list").dataset.newest);

  // Times come in UTC; a person reads their own clock.
  function localise(container) {
    const today = new Date().toDateString();
    for (const element of container.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      const isToday = at.toDateString() === today;
      element.title = at.toLocaleString();
      if ("long" in element.dataset) {
        element.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
      } else {
        element.textContent = isToday
          ? at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })
          : at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
      }
    }
  }

  async function fetchPage(url) {
    const response = await fetch(url, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(`${response.status}`);
    return new DOMParser().parseFromString(await response.text(), "text/html");
  }

  // Exchange the list, and keep what the reader holds: the scroll position, the focus, a half-typed search.
  function showStream(page) {
    const before = newest(document);
    const scroll = list().scrollTop;
    const focused = document.activeElement && stream.contains(document.activeElement) ? document.activeElement : null;
    for (const id of ["mailbox-list", "mailbox-count"]) {
      document.getElementById(id).replaceWith(page.getElementById(id));
    }
    stream.querySelectorAll(":scope > .mailbox-none").forEach((note) => note.remove());
    page.querySelectorAll("#mailbox-stream > .mailbox-none").forEach((note) => stream.append(note));
    const open = pane.querySelector("[data-message-id]");
    markCurrent(open ? open.dataset.messageId : "");
    for (const row of list().querySelectorAll("[data-message-link]")) {
      if (before && Number(row.id.replace("message-", "")) > before) row.classList.add("is-new");
    }
    localise(list());
    list().scrollTop = scroll;
    if (focused && focused.id && !stream.contains(focused)) document.getElementById(focused.id)?.focus();
  }

  function showMessage(page) {
    pane.replaceChildren(...page.getElementById("mailbox-message").childNodes);
    root.classList.toggle("has-message", page.getElementById("mailbox").classList.contains("has-message"));
    document.title = page.title;
    localise(pane);
    const open = pane.querySelector("[data-message-id]");
    markCurrent(open ? open.dataset.messageId : "");
  }

  function markCurrent(id) {
    for (const row of list().querySelectorAll("[data-message-link]")) {
      if (row.id === `message-${id}`) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  async function open(url) {
    const turn = ++wanted;
    try {
      const page = await fetchPage(url);
      if (turn !== wanted) return;
      history.pushState(null, "", url);
      showMessage(page);
      pane.querySelector("#mailbox-subject")?.focus({ preventScroll: true });
    } catch {
      location.href = url;
    }
  }

  async function poll() {
    if (!document.hidden) {
      const asked = location.href;
      const here = new URL(asked);
      const query = new URLSearchParams({ bodies: "0", limit: "1", after: String(newest(document)) });
      for (const name of ["to", "q"]) if (here.searchParams.get(name)) query.set(name, here.searchParams.get(name));
      try {
        const response = await fetch(`${root.dataset.pollUrl}?${query}`);
        if (!response.ok) throw new Error(`${response.status}`);
        const { count } = await response.json();
        status.textContent = "";
        if (count) {
          const isFirst = newest(document) === 0;
          const page = await fetchPage(asked);
          // The reader may have moved on while the answer was under way.
          if (location.href === asked) {
            showStream(page);
            if (isFirst && !root.classList.contains("has-message")) showMessage(page);
            announce(root.dataset.textNew);
          }
        }
      } catch {
        status.textContent = root.dataset.textLost;
      }
    }
    setTimeout(poll, POLL_MS);
  }

  function announce(text) {
    status.textContent = text;
    setTimeout(() => {
      if (status.textContent === text) status.textContent = "";
    }, POLL_MS * 0.8);
  }

  function selectTab(tab) {
    for (const other of pane.querySelectorAll("[role=tab]")) {
      const isSelected = other === tab;
      other.setAttribute("aria-selected", String(isSelected));
      other.tabIndex = isSelected ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !isSelected;
    }
    const widths = pane.querySelector(".mailbox-widths");
    if (widths) widths.hidden = tab.id !== "tab-rendered";
    if (tab.id === "tab-source") loadSource();
  }

  async function loadSource() {
    const source = document.getElementById("mailbox-source");
    if (source.textContent) return;
    try {
      const response = await fetch(source.dataset.url);
      if (!response.ok) throw new Error(`${response.status}`);
      source.textContent = await response.text();
    } catch {
      source.textContent = source.dataset.textFailed;
    }
  }

  // Arrow keys move inside the tabs and inside the list, as they do in mail programs.
  function step(elements, key) {
    const index = elements.indexOf(document.activeElement);
    const last = elements.length - 1;
    const next = {
      ArrowRight: index === last ? 0 : index + 1,
      ArrowLeft: index === 0 ? last : index - 1,
      ArrowDown: Math.min(index + 1, last),
      ArrowUp: Math.max(index - 1, 0),
      Home: 0,
      End: last,
    }[key];
    if (index < 0 || next === undefined) return null;
    elements[next].focus();
    return elements[next];
  }

  root.addEventListener("click", (event) => {
    const link = event.target.closest("[data-message-link]");
    if (link && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)) {
      event.preventDefault();
      open(link.href);
      return;
    }
    const tab = event.target.closest("[role=tab]");
    if (tab) selectTab(tab);
    const width = event.target.closest("[data-width]");
    if (width) {
      for (const other of width.parentElement.children) other.setAttribute("aria-pressed", String(other === width));
      document.getElementById("mailbox-frame").classList.toggle("is-phone", width.dataset.width === "phone");
    }
  });

  root.addEventListener("keydown", (event) => {
    const inTabs = event.target.closest("[role=tablist]");
    const inList = event.target.closest("#mailbox-list");
    if (inTabs && ["ArrowRight", "ArrowLeft", "Home", "End"].includes(event.key)) {
      const tab = step([...inTabs.querySelectorAll("[role=tab]")], event.key);
      if (tab) selectTab(tab);
      event.preventDefault();
    } else if (inList && ["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
      step([...inList.querySelectorAll("a")], event.key);
      event.preventDefault();
    }
  });

  addEventListener("popstate", async () => {
    const turn = ++wanted;
    try {
      const page = await fetchPage(location.href);
      if (turn !== wanted) return;
      showMessage(page);
      showStream(page);
    } catch {
      location.reload();
    }
  });

  localise(root);
  setTimeout(poll, POLL_MS);
})();
