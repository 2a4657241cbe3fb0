// A small repair of the administration's pages.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("#main")?.setAttribute("tabindex", "-1"); // where the skip link leads
});
