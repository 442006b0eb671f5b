// One button for all folded code; tables of the ledger with a search field. Nothing is loaded.
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
  for (const box of document.querySelectorAll(".ledger-table")) {
    const { columns, rows } = JSON.parse(box.querySelector("script").textContent);
    const make = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
    const texts = rows.map(r => r.join(" ").toLowerCase());
    const search = Object.assign(make("input"), { type: "search", placeholder: "Search these rows" });
    const turn = make("div"), back = make("button", "Previous"), on = make("button", "Next"), where = make("span");
    const scroll = make("div"), table = make("table"), head = make("tr"), body = make("tbody");
    search.setAttribute("aria-label", "Search these rows");
    turn.className = "turn";
    scroll.className = "ledger-box";
    scroll.tabIndex = 0;
    table.className = "table";
    columns.forEach(c => head.append(make("th", c)));
    const thead = make("thead");
    thead.append(head);
    table.append(thead, body);
    scroll.append(table);
    turn.append(back, on, where);
    box.append(search, turn, scroll);
    let page = 0;
    const draw = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((_, i) => words.every(w => texts[i].includes(w)));
      const pages = Math.max(1, Math.ceil(found.length / 50));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...found.slice(50 * page, 50 * page + 50).map(r => {
        const row = make("tr");
        r.forEach(v => row.append(make("td", v)));
        return row;
      }));
      where.textContent = `${found.length} rows, page ${page + 1} of ${pages}`;
      back.disabled = page === 0;
      on.disabled = page === pages - 1;
    };
    back.onclick = () => { page -= 1; draw(); };
    on.onclick = () => { page += 1; draw(); };
    search.oninput = () => { page = 0; draw(); };
    draw();
  }
});
