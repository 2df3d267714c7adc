// What the theme leaves to Bootstrap, 24 KB of script: the menus of the header, tips, the list of contents that
// follows the reader, the button that leads back to the top.

// A menu: its button or an arrow opens it, arrows move in it; Escape, a choice, a click or a Tab elsewhere close it.
for (const button of document.querySelectorAll('[data-bs-toggle="dropdown"]')) {
  const around = button.parentElement, items = [...around.querySelectorAll(".dropdown-item")];
  const isOpen = () => button.classList.contains("show");
  const open = (yes) => {
    button.classList.toggle("show", yes);
    button.setAttribute("aria-expanded", yes);
  };
  document.addEventListener("click", ({ target }) => open(button.contains(target) && !isOpen()));
  around.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && open(isOpen() && around.contains(relatedTarget)));
  around.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && isOpen()) {
      button.focus();
      open(false);
    }
    if (!step) return;
    event.preventDefault();
    open(true);
    const next = items.indexOf(document.activeElement) + step;
    items.at(Math.max(next, 0) % items.length).focus();
  });
}

// A tip is drawn by book.css, for the mouse and for the keyboard. It is the name of a button without text.
for (const one of document.querySelectorAll('[data-bs-toggle="tooltip"][title]')) {
  one.dataset.tip = one.title;
  const says = one.textContent.trim() ? "aria-description" : "aria-label";
  if (!one.hasAttribute(says)) one.setAttribute(says, one.title);
  one.removeAttribute("title");
}

// Of the sections in the upper part of the window, the last is where one reads: it and those around it are marked.
{
  const entries = new Map();
  for (const link of document.querySelectorAll('.bd-toc-nav a[href^="#"]'))
    entries.set(document.getElementById(decodeURIComponent(link.hash.slice(1))), link);
  entries.delete(null);
  const seen = new Set();
  const mark = () => {
    const last = [...entries.keys()].findLast((section) => seen.has(section));
    if (!last) return; // above the first section, and below the last, the mark stays
    for (const link of entries.values()) {
      const around = link.parentElement.contains(entries.get(last));
      link.classList.toggle("active", around);
      link.parentElement.classList.toggle("active", around);
    }
  };
  const watch = new IntersectionObserver(
    (changes) => {
      for (const { isIntersecting, target } of changes) seen[isIntersecting ? "add" : "delete"](target);
      mark();
    },
    { rootMargin: "0px 0px -60%" },
  );
  entries.forEach((_, section) => watch.observe(section));
}

// Where a wide table comes, the list of contents folds to its title, as the theme has it for notes in the margin.
{
  const contents = document.querySelector(".bd-sidebar-secondary"), there = new Set();
  const watch = new IntersectionObserver(
    (changes) => {
      for (const { isIntersecting, target } of changes)
        there[isIntersecting && target.offsetWidth > target.parentElement.offsetWidth ? "add" : "delete"](target);
      contents.classList.toggle("hide", there.size > 0);
    },
    { rootMargin: "0px 0px -33%" },
  );
  if (contents) document.querySelectorAll(".pst-scrollable-table-container").forEach((box) => watch.observe(box));
}

// Whoever turns back on a long page may want its top.
{
  const button = document.getElementById("pst-back-to-top");
  let last = scrollY;
  button.addEventListener("click", () => scrollTo(0, 0));
  addEventListener("scroll", () => {
    if (scrollY !== last) button.style.display = 0 < scrollY && scrollY < last ? "block" : "none";
    last = scrollY;
  }, { passive: true });
}
