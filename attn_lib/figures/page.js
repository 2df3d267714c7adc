// Brings figures to life on a page without a kernel. Each one's script is what Jupyter runs too;
// here it gets a model read from the page.

class PageModel {
  constructor(data) {
    this.data = data;
    this.listeners = {};
  }
  get(name) {
    return this.data[name];
  }
  set(name, value) {
    if (this.data[name] === value) return;
    this.data[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }
  save_changes() {} // there is nobody to tell
}

function decode(value) {
  if (typeof value?.base64 !== "string") return value;
  const text = atob(value.base64);
  const decoded = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) decoded[i] = text.charCodeAt(i); // Uint8Array.from is far slower
  return new DataView(decoded.buffer);
}

// Figures in or near the window start first, the others when the browser has nothing else to do.
const idle = window.requestIdleCallback?.bind(window) ?? ((call) => setTimeout(call, 1));
const near = new IntersectionObserver(
  (seen) => seen.forEach(({ isIntersecting, target }) => isIntersecting && target.start()),
  { rootMargin: "50% 0px" },
);

function define(tag, figure) {
  customElements.define(
    tag,
    class extends HTMLElement {
      connectedCallback() {
        near.observe(this);
        idle(() => this.start());
      }
      start() {
        near.unobserve(this);
        if (this.model) return; // started, or moved within the page
        const data = JSON.parse(this.querySelector("script").textContent);
        for (const name in data) data[name] = decode(data[name]);
        this.model = new PageModel(data);
        figure.render({ model: this.model, el: this });
      }
    },
  );
}
