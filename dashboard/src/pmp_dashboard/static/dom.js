// Creates elements without parsing markup, so names from feeds are always text.

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function onChoice(id, listener) {
  byId(id).addEventListener("change", (event) => listener(event.target.value));
}

export function showEmpty(id, text) {
  const node = byId(id);
  node.textContent = text ?? "";
  node.hidden = !text;
}

export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
