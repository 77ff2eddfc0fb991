// Sorting, filtering and copying. Everything can be read without it.
"use strict";

// Each head becomes a button. Scales are sorted apart, so that quick rows never mix with evidence; what is missing stays last.
function sortKey(row, column) {
  const cell = row.cells[column];
  if ("sort" in cell.dataset) return cell.dataset.sort === "" ? null : Number(cell.dataset.sort);
  const text = cell.textContent.trim().replace(/\s+/g, " ");
  const number = Number(text.replace(/,/g, "").replace("−", "-"));
  return text === "—" || text === "" ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, head, column) {
  const ascending = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  for (const body of table.tBodies) {
    const rows = Array.from(body.rows);
    rows.sort((a, b) => compare(sortKey(a, column), sortKey(b, column), ascending ? 1 : -1));
    body.append(...rows);
  }
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.title = "sort by this column";
    if (head.querySelector("a")) {
      // A link cannot be inside a button: the button stands beside it.
      const name = head.textContent.trim().replace(/\s+/g, " ");
      button.setAttribute("aria-label", `sort by ${name}`);
    } else {
      button.append(...head.childNodes);
    }
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head, column));
  });
}

// A bar of filters names its table; the state is in the address, so that a selection can be sent to somebody.
for (const bar of document.querySelectorAll("[data-filters]")) {
  const table = document.getElementById(bar.dataset.filters);
  const rows = Array.from(table.tBodies[0].rows);
  const words = bar.querySelector("[data-words]");
  const fields = Array.from(bar.querySelectorAll("[data-field]"));
  const columns = bar.querySelector("[data-columns]");
  const given = new URLSearchParams(location.search);
  for (const select of fields) {
    const values = new Set(rows.flatMap((row) => (row.dataset[select.dataset.field] || "").split("|")));
    if (select.options.length === 1) {
      for (const value of Array.from(values).filter(Boolean).sort()) select.add(new Option(value));
    }
    select.value = given.get(select.dataset.field) || "";
  }
  words.value = given.get("find") || "";
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  function apply() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of rows) {
      const fits = fields.every(({ value, dataset }) => !value || (row.dataset[dataset.field] || "").split("|").includes(value));
      row.hidden = !(fits && wanted.every((word) => texts.get(row).includes(word)));
      left += !row.hidden;
    }
    if (columns) {
      for (const cell of table.querySelectorAll("[data-paper]")) {
        cell.hidden = Boolean(columns.value) && !["*", columns.value].includes(cell.dataset.paper);
      }
    }
    bar.querySelector("output").textContent = `${left} of ${rows.length}`;
    const state = new URLSearchParams();
    if (words.value) state.set("find", words.value);
    for (const { value, dataset } of fields) if (value) state.set(dataset.field, value);
    try {
      history.replaceState(null, "", `${location.pathname}${state.size ? `?${state}` : ""}${location.hash}`);
    } catch {
      // Some browsers refuse this for files; the filters work all the same.
    }
  }

  bar.hidden = false;
  bar.addEventListener("input", apply);
  apply();
}

for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  button.setAttribute("aria-label", `copy: ${button.dataset.copy}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
}

// A link to a claim opens the group that it is in.
function reveal() {
  const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
