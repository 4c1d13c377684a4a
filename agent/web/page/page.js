// The page's main script: shows each document from the stream, and reports when the stream breaks.

const FIRST_PAST_MS = 50;
const PAST_EVERY_MS = 2000; // the shortest time between two requests for the timeline
const REDRAW_MS = 60_000;
let agentAhead = 0; // how far the agent's clock is ahead of this browser's
let latest = null;
let past = [];
let pastTimer = null;
let pastWanted = false;

const agentNow = () => Date.now() + agentAhead;
const announce = (words) => write(byId("announcement"), words);
const registries = new Registries(byId("registries"), renewNow);
const stream = new Stream({ onStatus, onGone, onRefused });

function onStatus(doc) {
  const reconnected = setMode("live");
  agentAhead = Date.parse(doc.now) - Date.now();
  latest = doc;
  const { tone, sentence } = verdict(doc);
  showVerdict(tone, sentence, doc.summary);
  head(tone, sentence, doc.environment.id);
  showWarnings(byId("warnings"), byId("notices"), doc);
  registries.show(doc);
  showFacts(doc);
  tick();
  requestPast();
  if (reconnected) loadRights();
}

function onGone(since, why) {
  setMode("gone");
  const last = latest ? "; last known state below" : "";
  const reason = why ? `Its last answer: ${why}.` : "";
  const before = latest ? `Before that: ${latest.summary}.` : "";
  showVerdict("bad", `The agent has not answered since ${clockTime(since)}${last}.`, `${reason} ${before}`.trim());
  write(byId("link"), "not connected, retrying");
  head("bad", "The agent does not answer", latest?.environment.id ?? "");
}

function onRefused() {
  const wrong = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  setMode("token");
  write(byId("wrong"), wrong ? "The token is wrong." : "");
  head("wait", "Token required", "");
  byId("token").setAttribute("aria-invalid", String(wrong));
  byId("token").focus();
}

// Switches the page to `live`, `gone` or `token`. Returns whether this changed the mode.
function setMode(name) {
  const former = document.body.dataset.mode;
  document.body.dataset.mode = name;
  byId("gate").hidden = name !== "token";
  byId("verdict").hidden = name === "token";
  byId("content").hidden = name === "token" || (name !== "live" && latest === null);
  byId("forget").hidden = sessionStorage.getItem(TOKEN) === null;
  write(byId("link"), name === "live" ? "live" : "");
  return former !== name;
}

function head(tone, sentence, environment) {
  const colour = { well: "%231a7f37", warn: "%239a6700", bad: "%23cf222e" }[tone] ?? "%2357606a";
  document.title = environment ? `${sentence} (${environment})` : sentence;
  const dot = `<circle cx="8" cy="8" r="7" fill="${colour}"/>`;
  const drawn = `<svg xmlns="${SVG}" viewBox="0 0 16 16">${dot}</svg>`;
  document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${drawn}`;
  write(byId("environment"), environment);
}

function showFacts(doc) {
  const { docker, podman, aws } = doc.tools;
  const version = docker.present ? (docker.version ?? "unknown version") : "no docker";
  const facts = {
    Environment: `${doc.environment.id}, user ${doc.environment.user} on ${doc.environment.host}`,
    Docker: docker.flavor === "podman" ? `podman ${podman?.version ?? ""}` : `${version}, engine ${docker.engine}`,
    "AWS CLI": aws.present ? (aws.version ?? "unknown version") : "none",
    Agent: doc.version,
    Started: doc.started_at,
    "Clock jumps": doc.clock.jumps ? `${doc.clock.jumps}, last` : "none",
  };
  const shown = JSON.stringify([facts, doc.clock]);
  if (byId("facts").dataset.shown === shown) return;
  byId("facts").dataset.shown = shown;
  const moments = {
    Started: time(doc.started_at),
    "Clock jumps": doc.clock.jumps ? [`${facts["Clock jumps"]} `, time(doc.clock.last_jump_at)] : facts["Clock jumps"],
  };
  byId("facts").replaceChildren(
    ...Object.entries(facts).map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, ...[moments[name] ?? outside(value)].flat())),
    ),
  );
}

// Requests the timeline soon. Many changes in a row cause only one request.
function requestPast() {
  pastWanted = true;
  pastTimer ??= setTimeout(loadPast, FIRST_PAST_MS);
}

async function loadPast() {
  pastWanted = false;
  try {
    const answer = await ask("/v1/timeline");
    if (answer.ok)
      past = (await answer.text())
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    showPast(past);
  } catch {
    // The stream reports when the agent is gone, and the next document requests the timeline again.
  }
  pastTimer = setTimeout(() => {
    pastTimer = null;
    if (pastWanted) requestPast();
  }, PAST_EVERY_MS);
}

async function loadRights() {
  try {
    const answer = await ask("/v1/rights");
    registries.mayRenew = answer.ok && (await answer.json()).renew === true;
  } catch {
    registries.mayRenew = false;
  }
  byId("how-to-renew").hidden = registries.mayRenew || !latest.registries.length;
  registries.show(latest);
}

async function renewNow(hostname) {
  try {
    const answer = await ask("/v1/renew", {
      method: "POST",
      body: JSON.stringify({ hostname }),
      headers: { "Content-Type": "application/json" },
    });
    const body = await answer.json();
    return answer.ok ? { attemptId: body.attempt_ids[0] } : { error: body.error.message };
  } catch {
    return { error: "the agent does not answer" };
  }
}

byId("gate").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = "";
  stream.follow();
});
byId("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  location.reload();
});
setInterval(() => document.hidden || tick(), 1000);
setInterval(() => document.hidden || (past.length && showPast(past)), REDRAW_MS);
document.addEventListener("visibilitychange", () => document.hidden || tick());
stream.follow();
