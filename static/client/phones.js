// Phones without reloads: what arrives appears. The page is complete without this file.
(() => {
  "use strict";

  const POLL_MS = 2000;
  const root = document.getElementById("phones");

  // Times come in UTC; a person reads their own clock.
  function localise() {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      element.title = at.toLocaleString();
      element.textContent = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
    }
  }

  function toTheEnd() {
    const screen = document.getElementById("phone-screen");
    if (screen) screen.scrollTop = screen.scrollHeight;
  }

  async function poll() {
    if (document.hidden) return;
    const answer = await fetch(`${root.dataset.pollUrl}?limit=1&after=${root.dataset.newest}`);
    if (!answer.ok) return;
    const { messages } = await answer.json();
    if (!messages.length) return;
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const isTyping = root.querySelector(".phone-reply input[type=text]")?.value;
    // A half-typed answer is worth more than the newest message.
    const parts = isTyping ? ["phones-people"] : ["phones-people", "phones-pane"];
    for (const id of parts) document.getElementById(id).replaceWith(page.getElementById(id));
    root.dataset.newest = messages[0].id;
    document.getElementById("phones-status").textContent = root.dataset.textNew;
    setTimeout(() => { document.getElementById("phones-status").textContent = ""; }, 2500);
    localise();
    toTheEnd();
  }

  localise();
  toTheEnd();
  setInterval(() => poll().catch(() => {}), POLL_MS);
})();
