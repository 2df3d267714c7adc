// Equations are copied as LaTeX; with their looks, as MathML.
document.addEventListener("copy", event => {
  if (getSelection().isCollapsed) return;
  const range = getSelection().getRangeAt(0).cloneRange();
  const around = node => (node.closest ? node : node.parentElement).closest(".katex");
  const first = around(range.startContainer), last = around(range.endContainer);
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copied = document.createElement("div");
  copied.append(range.cloneContents());
  if (!copied.querySelector(".katex")) return;
  copied.querySelectorAll(".katex-html").forEach(one => one.remove());
  event.clipboardData.setData("text/html", copied.innerHTML);
  for (const one of copied.querySelectorAll(".katex")) {
    const sign = one.querySelector("[display]") ? "$$" : "$";
    one.replaceWith(sign + one.querySelector("annotation").textContent + sign);
  }
  event.clipboardData.setData("text/plain", copied.textContent);
  event.preventDefault();
});
