// Small repairs of the administration's pages, and their copy buttons.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      const label = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => (button.textContent = label), 1500);
    });
  }
  document.querySelector("#main")?.setAttribute("tabindex", "-1"); // where the skip link leads
});
