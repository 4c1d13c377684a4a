// The card shows the page's first sentence. It polls instead of streaming, because a browser allows only a few
// connections to one host, and the dashboard needs them.

const EVERY_MS = 10_000;
const TIMEOUT_MS = 8_000;
let etag = null;
let latest = null;
let answeredAt = Date.now();

async function pollOnce() {
  const answer = await fetch("/v1/status", {
    headers: etag ? { "If-None-Match": etag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  answeredAt = Date.now();
  if (answer.status === 401) {
    showVerdict("wait", "This agent requires a token.", "Open the details to enter it.");
    return;
  }
  if (answer.ok) {
    etag = answer.headers.get("ETag");
    latest = await answer.json();
  }
  if (answer.ok || answer.status === 304) {
    const { tone, sentence } = verdict(latest);
    showVerdict(tone, sentence, latest.summary);
  } else showVerdict("bad", "The agent refuses to show its status.", (await answer.json()).error.message);
}

async function poll() {
  try {
    await pollOnce();
  } catch {
    const last = latest ? `Before that: ${latest.summary}.` : "";
    showVerdict("bad", `The agent has not answered since ${clockTime(answeredAt)}.`, last);
  }
  setTimeout(poll, EVERY_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || pollOnce().catch(() => {}));
poll();
