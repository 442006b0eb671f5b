// One button for all folded code. Nothing is loaded.
document.addEventListener("DOMContentLoaded", () => {
  const folded = [...document.querySelectorAll("details.hide")];
  if (folded.length) {
    const button = document.createElement("button");
    const title = document.querySelector(".bd-article h1");
    const name = () => { button.textContent = folded.every(d => d.open) ? "Hide all code" : "Show all code"; };
    button.id = "show-code";
    button.type = "button";
    button.onclick = () => {
      const open = !folded.every(d => d.open);
      folded.forEach(d => { d.open = open; });
      name();
    };
    name();
    title.insertAdjacentElement("afterend", button);
  }
});
