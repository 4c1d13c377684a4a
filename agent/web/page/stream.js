// Follows the status over server-sent events, and reconnects when the stream ends. It uses fetch, because an
// EventSource cannot send a token.

const SILENCE_MS = 45_000; // the agent sends a comment every 15 s
const FIRST_EVENT_MS = 10_000;
const WAITS_MS = [300, 1000, 2000, 4000, 8000, 10_000];
const TOKEN = "registry-agent-token";

const bearer = () => {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
};

async function ask(path, options = {}) {
  return fetch(path, {
    cache: "no-store",
    redirect: "error",
    ...options,
    headers: { ...options.headers, ...bearer() },
  });
}

// Passes each document to `onStatus`. Calls `onGone(since, why)` when the agent went silent, or when two attempts in a
// row failed. Calls `onRefused()` when the agent requires another token, and then stops.
class Stream {
  constructor({ onStatus, onGone, onRefused }) {
    Object.assign(this, { onStatus, onGone, onRefused });
    this.receivedAt = Date.now();
    this.skipWait = () => {};
    addEventListener("online", () => this.skipWait());
    document.addEventListener("visibilitychange", () => document.hidden || this.skipWait());
  }

  async follow() {
    for (let failures = 0; ; failures += 1) {
      const before = this.receivedAt;
      this.silent = false;
      this.why = "";
      try {
        const refused = await this.once();
        if (refused) return this.onRefused();
      } catch {
        // `onGone` below reports it. How exactly the connection ended does not help the reader.
      }
      if (this.receivedAt !== before) failures = 0;
      if (this.silent) failures = Math.max(failures, 1);
      if (failures > 0) this.onGone(this.receivedAt, this.why);
      await this.pause(WAITS_MS[Math.min(failures, WAITS_MS.length - 1)]);
    }
  }

  async once() {
    const ending = new AbortController();
    const onTimeout = () => {
      this.silent = true;
      ending.abort();
    };
    let watch = setTimeout(onTimeout, FIRST_EVENT_MS);
    const received = () => {
      this.receivedAt = Date.now();
      clearTimeout(watch);
      watch = setTimeout(onTimeout, SILENCE_MS);
    };
    try {
      const answer = await ask("/v1/events", { signal: ending.signal });
      if (!answer.ok) {
        const { error } = await answer.json();
        if (answer.status === 401) return error;
        this.why = error.message;
        return null;
      }
      await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), received);
      return null;
    } finally {
      clearTimeout(watch);
      ending.abort();
    }
  }

  async read(reader, received) {
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      received();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (data) this.onStatus(JSON.parse(data.slice(6)));
      }
    }
  }

  // Waits up to a quarter longer at random, so that many pages do not reconnect at the same moment.
  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds * (1 + Math.random() / 4));
      this.skipWait = () => (clearTimeout(timer), resolve());
    });
  }
}
