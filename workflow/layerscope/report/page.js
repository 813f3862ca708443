"use strict";
(() => {
  const number = (text) => (text === "" ? NaN : Number(text.replace(/,/g, "").replace(/%$/, "")));
  const value = (row, at) => {
    const cell = row.cells[at];
    return (cell.firstChild ? cell.firstChild.textContent : "").trim();
  };

  const compare = (at, numeric, down) => (one, other) => {
    const [a, b] = [value(one, at), value(other, at)];
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    const order = numeric ? number(a) - number(b) : a.localeCompare(b, "en", { numeric: true });
    return down ? -order : order;
  };

  const makeSortable = (table) => {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, at) => {
      // not a <button>: browsers leave those out of the headings that they repeat on each sheet of paper
      const button = document.createElement("span");
      button.tabIndex = 0;
      button.setAttribute("role", "button");
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        button.click();
      });
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows];
        const numeric = rows.every((row) => value(row, at) === "" || !Number.isNaN(number(value(row, at))));
        body.append(...rows.sort(compare(at, numeric, down)));
      });
    });
  };

  const labelled = (text, control) => {
    const label = document.createElement("label");
    label.append(text, control);
    return label;
  };

  const makeFilterable = (region, table) => {
    const rows = [...table.tBodies[0].rows];
    const bar = document.createElement("div");
    bar.className = "filters";
    bar.setAttribute("role", "search");
    const search = document.createElement("input");
    search.type = "search";
    bar.append(labelled("search the rows", search));
    const choices = [];
    [...table.tHead.rows[0].cells].forEach((heading, at) => {
      if (!("choices" in heading.dataset)) return;
      const values = [...new Set(rows.map((row) => value(row, at)))].filter((text) => text !== "");
      if (values.length < 2) return;
      values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const select = document.createElement("select");
      select.append(new Option("all", ""), ...values.map((text) => new Option(text)));
      choices.push([select, at]);
      bar.append(labelled(heading.textContent.trim(), select));
    });
    const shown = document.createElement("output");
    bar.append(shown);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, place) => {
        const fits = words.every((word) => texts[place].includes(word))
          && choices.every(([select, at]) => select.value === "" || select.value === value(row, at));
        row.hidden = !fits;
        count += fits ? 1 : 0;
      });
      shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    };
    bar.addEventListener("input", apply);
    region.before(bar);
    apply();
  };

  // rows of verdicts stay under their conditions
  document.querySelectorAll(".table:not(#verdicts)").forEach((region) => {
    const table = region.querySelector("table");
    if ("filterable" in region.dataset) makeFilterable(region, table);
    makeSortable(table);
  });

  // on paper nothing is folded away
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((folded) => {
      folded.open = true;
      window.addEventListener("afterprint", () => { folded.open = false; }, { once: true });
    });
  });
})();
