"use strict";

// Sorting: a click on a column's title sorts its table, downwards first; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const titles = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  titles.forEach((title, column) => {
    title.querySelector("button").addEventListener("click", () => {
      const next = { null: "descending", descending: "ascending", ascending: null }[title.getAttribute("aria-sort")];
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      if (next === null) {
        body.append(...original);
        return;
      }
      title.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const value = (row) => {
        const cell = row.cells[column];
        return column === 0 ? cell.textContent.trim() : "value" in cell.dataset ? Number(cell.dataset.value) : null;
      };
      const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
      const rows = original.map((row) => [value(row), row]);
      const present = rows.filter(([key]) => key !== null).sort(([a], [b]) => sign * compare(a, b));
      const absent = rows.filter(([key]) => key === null);
      body.append(...[...present, ...absent].map(([, row]) => row));
    });
  });
}
