// The last 24 hours: logins, problems with their duration, and the agent's starts, changed secrets and clock jumps.

const DAY_MS = 86_400_000;
const SHOWN = 8;

const size = (list) => (Array.isArray(list) ? list.length : 0);
const DESCRIPTIONS = {
  "agent.starting": (event) => ["wait", `the agent started, version ${event.version}`],
  "login.succeeded": (event, past) => [
    "well",
    past.again ? `${event.registry} renewed` : `${event.registry} logged in`,
  ],
  "login.expired": (event) => ["bad", `the login to ${event.registry} expired and was removed`],
  "login.removed": (event) => ["off", `the login to ${event.registry} was removed because its secret is gone`],
  "login.restored": (event) => [
    "warn",
    `the login to ${event.registry} was removed or had ended, and the agent restored its own`,
  ],
  "secrets.changed": (event) => [
    "wait",
    `secrets changed: ${size(event.added)} new, ${size(event.changed)} changed, ${size(event.removed)} gone`,
  ],
  "clock.jumped": (event) => [
    "warn",
    event.seconds < 0
      ? `the clock was set back by ${duration(-event.seconds)}`
      : `the clock jumped ahead by ${duration(event.seconds)}: the machine slept, or its clock was set`,
  ],
  "warning.raised": (event) => [TONES[event.level] ?? "off", event.message],
  "warning.cleared": (event, past) => [
    "well",
    past.raised
      ? `resolved after ${duration((Date.parse(event.time) - Date.parse(past.raised.time)) / 1000)}: ${past.raised.message}`
      : `resolved: ${event.code} ${event.subject}`,
  ],
};

// Returns the events with their words, oldest first, and the problems as spans. A span's end is null while it lasts.
function readPast(lines) {
  const [entries, spans, loggedIn, open] = [[], [], new Set(), new Map()];
  for (const event of lines) {
    if (!Object.hasOwn(DESCRIPTIONS, event.event)) continue;
    const key = JSON.stringify([event.code, event.subject]);
    if (event.event === "agent.starting") loggedIn.clear();
    const [tone, words] = DESCRIPTIONS[event.event](event, {
      again: loggedIn.has(event.registry),
      raised: open.get(key)?.event,
    });
    const at = Date.parse(event.time);
    entries.push({ at, tone, words, name: event.event });
    if (event.event === "login.succeeded") loggedIn.add(event.registry);
    if (event.event === "warning.raised") {
      const former = open.get(key);
      if (former) former.to = at; // raised again with another severity: a new span begins
      const span = { from: at, to: null, tone, event };
      open.set(key, span);
      spans.push(span);
    }
    if (event.event === "warning.cleared" && open.has(key)) {
      open.get(key).to = at;
      open.delete(key);
    }
  }
  return { entries, spans: spans.filter(({ tone }) => tone !== "off") };
}

function showPast(lines) {
  const { entries, spans } = readPast(lines);
  const now = agentNow();
  const of = (...names) => entries.filter(({ name }) => names.includes(name));
  byId("lanes").replaceChildren(
    lane(
      "Logins",
      of("login.succeeded", "login.expired", "login.removed", "login.restored").map((entry) => tickAt(entry, now)),
    ),
    lane(
      "Problems",
      spans.map((span) => spanAt(span, now)),
    ),
    lane(
      "Agent",
      of("agent.starting", "secrets.changed", "clock.jumped").map((entry) => tickAt(entry, now)),
    ),
    el(
      "div",
      { class: "hours" },
      ...[24, 18, 12, 6].map((hours) => el("span", {}, clockTime(now - hours * 3_600_000))),
      el("span", {}, "now"),
    ),
  );
  const items = entries.reverse().map(pastItem);
  const open = byId("past").querySelector("details")?.open;
  const more =
    items.length > SHOWN
      ? el(
          "details",
          { open },
          el("summary", {}, `${counted(items.length - SHOWN, "earlier event")}`),
          el("ol", { class: "past" }, ...items.slice(SHOWN)),
        )
      : null;
  byId("past").replaceChildren(
    items.length
      ? el("ol", { class: "past" }, ...items.slice(0, SHOWN))
      : el("p", { class: "aside" }, "Nothing has happened yet."),
    ...(more ? [more] : []),
  );
}

function pastItem({ at, tone, words }) {
  return el(
    "li",
    { "data-tone": tone },
    el("time", { title: absolute(at) }, clockTime(at)),
    icon(tone),
    outside(words),
  );
}

const place = (at, now) => Math.min(Math.max(100 - ((now - at) / DAY_MS) * 100, 0), 100);

function lane(name, marks) {
  return el("div", { class: "lane" }, el("span", { class: "lane-name" }, name), svg("svg", { height: 18 }, ...marks));
}

function tickAt({ at, tone, words, name }, now) {
  const x = `${place(at, now).toFixed(2)}%`;
  const shape =
    name === "clock.jumped" ? svg("circle", { cx: x, cy: 9, r: 4 }) : svg("line", { x1: x, x2: x, y1: 3, y2: 15 });
  return titled(shape, tone, `${clockTime(at)} ${words}`);
}

function spanAt({ from, to, tone, event }, now) {
  const [left, right] = [place(from, now), place(to ?? now, now)];
  const width = `${Math.max(right - left, 0.4).toFixed(2)}%`;
  const shape = svg("rect", { x: `${Math.min(left, 99.6).toFixed(2)}%`, y: 4, width, height: 10, rx: 2 });
  return titled(shape, tone, `${clockTime(from)} ${event.message}`);
}

function titled(shape, tone, words) {
  const title = svg("title");
  title.textContent = words;
  shape.append(title);
  shape.setAttribute("data-tone", tone);
  return shape;
}
