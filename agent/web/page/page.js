// The page: what the stream brings is shown; what it does not bring is said.

const FIRST_PAST_MS = 50;
const PAST_EVERY_MS = 2000; // at most; and only when something changed
const REDRAW_MS = 60_000;
let agentAhead = 0; // how far the agent's clock is ahead of this browser's
let latest = null;
let past = [];
let pastTimer = null;
let pastWanted = false;

const agentNow = () => Date.now() + agentAhead;
const say = (words) => write(byId("said"), words);
const registries = new Registries(byId("registries"), renewNow);
const stream = new Stream({ onStatus, onGone, onRefused });

function onStatus(doc) {
  const fresh = mode("live");
  agentAhead = Date.parse(doc.now) - Date.now();
  latest = doc;
  const { tone, sentence } = verdict(doc);
  showVerdict(tone, sentence, doc.summary);
  head(tone, sentence, doc.environment.id);
  showWarnings(byId("warnings"), byId("notices"), doc);
  registries.show(doc);
  showFacts(doc);
  tick();
  wantPast();
  if (fresh) learnWhatIsAllowed();
}

function onGone(since, why) {
  mode("gone");
  const last = latest ? "; last known state below" : "";
  const reason = why ? `It says: ${why}.` : "";
  const before = latest ? `Before that: ${latest.summary}.` : "";
  showVerdict("bad", `The agent has stopped answering since ${clockTime(since)}${last}.`, `${reason} ${before}`.trim());
  write(byId("link"), "not connected, trying again");
  head("bad", "The agent has stopped answering", latest?.environment.id ?? "");
}

function onRefused() {
  const wrong = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  mode("token");
  write(byId("wrong"), wrong ? "That is not the token." : "");
  head("wait", "A token is asked for", "");
  byId("token").setAttribute("aria-invalid", String(wrong));
  byId("token").focus();
}

// True where it is another than before.
function mode(name) {
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
  const { docker, aws } = doc.tools;
  const facts = {
    Environment: `${doc.environment.id}, user ${doc.environment.user} on ${doc.environment.host}`,
    Docker: docker.present
      ? `${docker.version ?? "unknown version"}, engine ${docker.engine}`
      : `no docker, engine ${docker.engine}`,
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

// A crowd of changes costs one question for the past.
function wantPast() {
  pastWanted = true;
  pastTimer ??= setTimeout(askForPast, FIRST_PAST_MS);
}

async function askForPast() {
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
    // The stream tells when the agent is gone, and the past is asked for again with the next document.
  }
  pastTimer = setTimeout(() => {
    pastTimer = null;
    if (pastWanted) wantPast();
  }, PAST_EVERY_MS);
}

async function learnWhatIsAllowed() {
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
    const body = JSON.stringify({ hostname });
    const answer = await ask("/v1/renew", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    const said = await answer.json();
    return answer.ok ? { attemptId: said.attempt_ids[0] } : { fault: said.error.message };
  } catch {
    return { fault: "the agent does not answer" };
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
