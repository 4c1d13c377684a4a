// The status, live: one answer that does not end, asked for again when it does. Not an EventSource, which cannot send
// a token.

const SILENCE_MS = 45_000; // the agent says something every 15 s
const FIRST_WORD_MS = 10_000;
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

// Hands each document to `onStatus`. `onGone(since, why)` when the agent went silent, or two attempts in a row came to
// nothing; `onRefused()` when it wants another token, after which this ends.
class Stream {
  constructor({ onStatus, onGone, onRefused }) {
    Object.assign(this, { onStatus, onGone, onRefused });
    this.heardAt = Date.now();
    this.hurry = () => {};
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  async follow() {
    for (let failures = 0; ; failures += 1) {
      const before = this.heardAt;
      this.silent = false;
      this.why = "";
      try {
        const refused = await this.once();
        if (refused) return this.onRefused();
      } catch {
        // Told below: how a connection ended says nothing to whoever reads the page.
      }
      if (this.heardAt !== before) failures = 0;
      if (this.silent) failures = Math.max(failures, 1);
      if (failures > 0) this.onGone(this.heardAt, this.why);
      await this.pause(WAITS_MS[Math.min(failures, WAITS_MS.length - 1)]);
    }
  }

  async once() {
    const ending = new AbortController();
    const tooLong = () => {
      this.silent = true;
      ending.abort();
    };
    let watch = setTimeout(tooLong, FIRST_WORD_MS);
    const heard = () => {
      this.heardAt = Date.now();
      clearTimeout(watch);
      watch = setTimeout(tooLong, SILENCE_MS);
    };
    try {
      const answer = await ask("/v1/events", { signal: ending.signal });
      if (!answer.ok) {
        const { error } = await answer.json();
        if (answer.status === 401) return error;
        this.why = error.message;
        return null;
      }
      await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
      return null;
    } finally {
      clearTimeout(watch);
      ending.abort();
    }
  }

  async read(reader, heard) {
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (data) this.onStatus(JSON.parse(data.slice(6)));
      }
    }
  }

  // Up to a quarter more, so that many pages do not come back at once.
  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds * (1 + Math.random() / 4));
      this.hurry = () => (clearTimeout(timer), resolve());
    });
  }
}
