// The card: the page's own sentence, asked for every few seconds, so that it holds no connection of the dashboard's.

const EVERY_MS = 10_000;
const PATIENCE_MS = 8_000;
let etag = null;
let latest = null;
let heardAt = Date.now();

async function look() {
  const answer = await fetch("/v1/status", {
    headers: etag ? { "If-None-Match": etag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  heardAt = Date.now();
  if (answer.status === 401) {
    showVerdict("wait", "This agent asks for a token.", "Open the details to give it.");
    return;
  }
  if (answer.ok) {
    etag = answer.headers.get("ETag");
    latest = await answer.json();
  }
  if (answer.ok || answer.status === 304) {
    const { tone, sentence } = verdict(latest);
    showVerdict(tone, sentence, latest.summary);
  } else showVerdict("bad", "The agent does not give its status.", (await answer.json()).error.message);
}

async function keepLooking() {
  try {
    await look();
  } catch {
    const last = latest ? `It last said: ${latest.summary}.` : "";
    showVerdict("bad", `The agent has stopped answering since ${clockTime(heardAt)}.`, last);
  }
  setTimeout(keepLooking, EVERY_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || look().catch(() => {}));
keepLooking();
