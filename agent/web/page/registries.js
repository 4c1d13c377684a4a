// One row per registry: its login's state, identity, lifetime and last error, and a button to renew it.

const ORDER = ["bad", "warn", "wait", "well", "off"];
const LONGEST_MS = 120_000;

class Registries {
  constructor(list, onRenew) {
    Object.assign(this, { list, onRenew, rows: new Map(), notes: new Map(), renewing: new Map(), mayRenew: false });
  }

  show(doc) {
    this.doc = doc;
    for (const row of doc.registries) this.finishRenewal(row);
    const reasons = new Map();
    for (const { subject, message } of worstFirst(doc.warnings.filter(affectsCondition)).reverse())
      reasons.set(subject, message);
    const rank = (row) => ORDER.indexOf(stateOf(row).tone);
    const sorted = [...doc.registries].sort((a, b) => rank(a) - rank(b) || (a.hostname < b.hostname ? -1 : 1));
    const before = this.rows;
    this.rows = new Map(sorted.map((row) => [row.hostname, this.row(row, reasons.get(row.hostname), before)]));
    const wanted = [...this.rows.values()].map(({ element }) => element);
    if (!wanted.length) wanted.push(el("li", { class: "nothing" }, "There are no registry secrets."));
    this.place(wanted);
  }

  // Unchanged rows keep their elements, so the focus and a text selection in them stay.
  place(wanted) {
    const focused = document.activeElement?.closest("[data-host]")?.dataset.host;
    const same =
      wanted.length === this.list.children.length && wanted.every((element, at) => this.list.children[at] === element);
    if (same) return;
    this.list.replaceChildren(...wanted);
    if (focused !== undefined) this.rows.get(focused)?.element.querySelector("button")?.focus();
  }

  row(row, reason, before) {
    const note = this.notes.get(row.hostname);
    const busy = row.attempting || this.renewing.has(row.hostname);
    const shown = JSON.stringify([row, reason, note, busy, this.mayRenew]);
    const former = before.get(row.hostname);
    return former?.shown === shown ? former : { shown, element: this.element(row, reason, note, busy) };
  }

  element(row, reason, note, busy) {
    const { words, tone } = stateOf(row);
    const head = el(
      "div",
      { class: "head" },
      el("h3", {}, outside(row.hostname)),
      el("span", { class: "state" }, icon(tone), words),
      this.mayRenew && row.state !== "skipped" ? this.button(row, busy) : null,
    );
    return el(
      "li",
      { class: "registry", "data-tone": tone, "data-host": row.hostname },
      head,
      this.login(row),
      this.life(row),
      this.error(row, reason),
      busy || row.next_attempt_at ? el("p", { class: "next" }, ...this.next(row, busy)) : null,
      note ? el("p", { class: "note" }, outside(note)) : null,
    );
  }

  button(row, busy) {
    // Not `disabled`: that would take the focus away from the button that was just pressed.
    const made = el(
      "button",
      { type: "button", "aria-disabled": busy ? "true" : null, "aria-label": `Renew ${row.hostname} now` },
      busy ? "Renewing …" : "Renew now",
    );
    made.addEventListener("click", () => busy || this.renew(row.hostname));
    return made;
  }

  login(row) {
    const identity = row.identity ? ["as ", outside(row.identity), " with secret "] : ["with secret "];
    const where = row.stored_in ? [" · stored in ", outside(row.stored_in)] : [];
    return el("p", { class: "who" }, ...identity, outside(row.secret), ` (${row.scope})`, ...where);
  }

  life(row) {
    const line = (...words) => el("p", { class: "life" }, ...words);
    if (!row.expires_at)
      return row.state === "logged_in" ? line("Does not expire, logged in ", time(row.logged_in_at)) : null;
    if (row.state === "expired") return line("Expired ", time(row.expires_at));
    const late = row.renew_at && Date.parse(row.renew_at) < agentNow();
    const renews = row.renew_at ? [late ? " · renewal was due " : " · renews ", time(row.renew_at)] : [];
    const ended = Date.parse(row.expires_at) < agentNow();
    return el("div", { class: "lasts" }, bar(row), line(ended ? "Expired " : "Expires ", time(row.expires_at), ...renews));
  }

  // What to do about it is shown once, with the warning.
  error(row, reason) {
    const message = row.last_error ?? reason;
    return message ? el("p", { class: "error" }, outside(message)) : null;
  }

  next(row, busy) {
    return busy ? ["Trying now …"] : ["Next attempt ", time(row.next_attempt_at)];
  }

  async renew(hostname) {
    this.renewing.set(hostname, null);
    this.notes.delete(hostname);
    this.show(this.doc);
    const { attemptId, error } = await this.onRenew(hostname);
    if (error) {
      this.renewing.delete(hostname);
      this.notes.set(hostname, `Not renewed: ${error}`);
      announce(`${hostname} was not renewed: ${error}`);
    } else {
      this.renewing.set(hostname, attemptId);
      setTimeout(() => this.giveUp(hostname, attemptId), LONGEST_MS);
    }
    this.show(this.doc);
    for (const row of this.doc.registries) this.finishRenewal(row);
    this.show(this.doc);
  }

  // Stops waiting for an attempt: a later one may have replaced it before this page received its outcome.
  giveUp(hostname, attemptId) {
    if (this.renewing.get(hostname) !== attemptId) return;
    this.renewing.delete(hostname);
    this.show(this.doc);
  }

  // An attempt has ended when the row has its id and `attempting` is false.
  finishRenewal(row) {
    const attemptId = this.renewing.get(row.hostname);
    if (!attemptId || row.attempting || row.attempt_id !== attemptId) return;
    this.renewing.delete(row.hostname);
    announce(
      row.state === "logged_in" && !row.consecutive_failures
        ? `${row.hostname} is renewed`
        : `${row.hostname} was not renewed`,
    );
  }
}

// Shows a time relative to now, or with kind "for" the time that has passed since. `tick` keeps it up to date.
function time(iso, kind) {
  const made = el("time", { datetime: iso, title: absolute(Date.parse(iso)), "data-kind": kind });
  updateTime(made);
  return made;
}

function updateTime(element) {
  const then = Date.parse(element.dateTime);
  write(element, element.dataset.kind === "for" ? duration((agentNow() - then) / 1000) : relative(then, agentNow()));
}

function bar(row) {
  const { logged_in_at: from, expires_at: to, renew_at: renews } = row;
  const at = (moment) => (Date.parse(to) - Date.parse(moment)) / Math.max(Date.parse(to) - Date.parse(from), 1);
  const mark = el("span", { class: "mark" });
  mark.style.left = `${100 * Math.min(Math.max(at(renews), 0), 1)}%`;
  const real = `expires ${absolute(Date.parse(to))}${renews ? `, renews ${absolute(Date.parse(renews))}` : ""}`;
  const whole = { role: "meter", "aria-label": "Time left", "aria-valuemin": 0, "aria-valuemax": 100, title: real };
  const made = el(
    "div",
    { class: "bar", "data-from": from, "data-to": to, ...whole },
    el("span", { class: "left" }),
    renews ? mark : null,
  );
  fill(made);
  return made;
}

function fill(made) {
  const [from, to] = [Date.parse(made.dataset.from), Date.parse(made.dataset.to)];
  const left = Math.min(Math.max((to - agentNow()) / Math.max(to - from, 1), 0), 1) * 100;
  made.firstChild.style.width = `${left.toFixed(2)}%`;
  made.setAttribute("aria-valuenow", Math.round(left));
  made.setAttribute("aria-valuetext", `${Math.round(left)} %, expires ${relative(to, agentNow())}`);
}

function tick() {
  document.querySelectorAll("time[datetime]").forEach(updateTime);
  document.querySelectorAll(".bar").forEach(fill);
}
