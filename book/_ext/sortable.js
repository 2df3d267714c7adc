// Tables of cells tagged "sortable": a button in each head sorts, and a field keeps the rows that hold all its words.
for (const table of document.querySelectorAll(".tag_sortable table")) {
  const [body] = table.tBodies;
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const number = /^[+-]?\d[\d.]*(?: → \d[\d.]*)?$/;
  const said = (row, column) => row.cells[column].textContent.trim();

  // An arrow leads to the number with the mechanism: that one counts. What is empty comes last, either way.
  const compare = (column, sign) => {
    const numbers = rows.every(row => !said(row, column) || number.test(said(row, column)));
    const value = text => Number(text.split(" → ").pop());
    return (first, second) => {
      const [a, b] = [said(first, column), said(second, column)];
      if (!a || !b) return !a - !b;
      return sign * (numbers ? value(a) - value(b) : a.localeCompare(b, "en", { numeric: true }));
    };
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.className = "attn-sort";
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      body.append(...rows.sort(compare(column, falling ? -1 : 1)));
    });
  });

  const field = document.createElement("input");
  const count = document.createElement("output");
  const label = document.createElement("label");
  field.type = "search";
  field.placeholder = "ResNet-50 timm";
  label.append("Rows with the words ", field);
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows)
      row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
    count.value = `${rows.filter(row => !row.hidden).length} of ${rows.length} rows`;
  };
  field.addEventListener("input", filter);
  filter();
  const tools = document.createElement("div");
  tools.className = "attn-filter";
  tools.append(label, count);
  (table.closest(".pst-scrollable-table-container") ?? table).before(tools);
}
