// Builds the page's elements. Outside text is always inserted as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  well: "M4 8.5l2.7 2.7L12 5.5",
  warn: "M8 4v5M8 11.6v.4",
  bad: "M5 5l6 6M11 5l-6 6",
  wait: "M8 4v4l2.6 1.8",
  off: "M4.5 8h7",
};

const byId = (id) => document.getElementById(id);

// Creates an element with children, which are text or elements. Null children, and null or false attributes, are
// left out.
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  setAttributes(made, attributes);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {}))
    if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
}

// Hidden from screen readers, because the words next to it have the same meaning.
function icon(tone) {
  const shape = svg("path", { d: ICONS[tone] ?? ICONS.wait });
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("circle", { cx: 8, cy: 8, r: 7.25 }),
    shape,
  );
}

// Wraps outside text, so that right-to-left text does not reorder the rest of the line and long words can break.
const outside = (text) => el("bdi", { class: "outside" }, String(text ?? ""));

// Sets text only if it changed: a screen reader announces every write to a live region.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showVerdict(tone, sentence, count) {
  byId("verdict").dataset.tone = tone;
  byId("verdict-icon").replaceChildren(icon(tone));
  write(byId("sentence"), sentence);
  write(byId("count"), count);
}
