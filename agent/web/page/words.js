// Turns the status document and its times into words. Nothing here touches the page.

// For each value of a warning's `needs`.
const OWNERS = {
  user: { lead: "Action needed", title: "Action needed" },
  admin: {
    lead: "Admin action needed",
    title: "Admin action needed",
    who: "by an admin of the platform, the registry or the cloud account",
  },
  nobody: {
    lead: "No action needed, the agent is retrying",
    title: "No action needed",
    who: "the agent is retrying",
  },
};
const SEVERITIES = ["error", "warning", "notice"];
const STATES = {
  pending: { words: "not tried yet", tone: "wait" },
  logged_in: { words: "logged in", tone: "well" },
  retrying: { words: "retrying", tone: "warn" },
  rejected: { words: "refused", tone: "bad" },
  expired: { words: "expired", tone: "bad" },
  skipped: { words: "skipped", tone: "off" },
};
const TONES = { error: "bad", warning: "warn", notice: "off" };

const affectsCondition = (warning) => warning.severity !== "notice";
// A value that this page does not know counts as `user`, so that the reader sees it first.
const ownerOf = (warning) => (Object.hasOwn(OWNERS, warning.needs) ? warning.needs : "user");
const severityRank = (warning) => (SEVERITIES.indexOf(warning.severity) + SEVERITIES.length + 1) % (SEVERITIES.length + 1);
const stateOf = (row) =>
  Object.hasOwn(STATES, row.state)
    ? STATES[row.state]
    : { words: String(row.state).replaceAll("_", " "), tone: "wait" };

// Warnings that need a person come first, then the most severe, then those that need the reader.
function worstFirst(warnings) {
  const rank = (warning) => [ownerOf(warning) === "nobody", severityRank(warning), ownerOf(warning) !== "user"];
  return [...warnings].sort(
    (a, b) =>
      rank(a)
        .map((value, at) => value - rank(b)[at])
        .find((value) => value) ?? 0,
  );
}

// Groups the warnings about the same fault of several registries: their texts differ in the subject only.
function alike(warnings) {
  const faults = new Map();
  for (const warning of warnings) {
    const texts = [warning.severity, warning.code, warning.message, warning.hint].map(String);
    const key = JSON.stringify(texts.map((text) => (warning.subject ? text.replaceAll(warning.subject, "HOST") : text)));
    faults.set(key, faults.get(key) ?? []);
    faults.get(key).push(warning);
  }
  return [...faults.values()];
}

// Returns {tone, sentence}: all is well, or the worst warning and who has to act.
function verdict(doc) {
  const [[worst] = [], ...more] = alike(worstFirst(doc.warnings.filter(affectsCondition)));
  if (doc.phase === "stopping") return { tone: "wait", sentence: "The agent is shutting down and no longer renews the logins." };
  if (worst) {
    const others = more.length ? `, and ${more.length} more` : "";
    const tone = doc.condition === "error" ? "bad" : "warn";
    return { tone, sentence: `${OWNERS[ownerOf(worst)].lead}: ${worst.message}${others}.` };
  }
  if (doc.phase === "starting") {
    const tried = doc.registries.filter((row) => row.state !== "pending").length;
    return {
      tone: "wait",
      sentence: `The agent is starting, ${tried} of ${counted(doc.registries.length, "registry")} tried.`,
    };
  }
  return { tone: "well", sentence: `All is well: ${allWell(doc.registries)}.` };
}

function allWell(rows) {
  const loggedIn = rows.filter((row) => row.state === "logged_in");
  const skipped = rows.length - loggedIn.length;
  if (!rows.length) return "there are no registry secrets, so there is no registry to log in to";
  if (skipped) return `${loggedIn.length} of ${counted(rows.length, "registry")} logged in, ${skipped} skipped`;
  return rows.length === 1 ? `${rows[0].hostname} is logged in` : `all ${rows.length} registries are logged in`;
}

function counted(number, thing) {
  return `${number} ${number === 1 ? thing : thing.replace(/y$/, "ie") + "s"}`;
}

// Returns a duration such as `11 h 20 min`; seconds below two minutes.
function duration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  const days = Math.floor(whole / 86400);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60);
  if (days >= 2) return `${days} d ${hours % 24} h`.replace(" 0 h", "");
  if (hours) return `${hours} h ${minutes % 60} min`.replace(/ 0 min$/, "");
  return minutes >= 2 ? `${minutes} min` : `${whole} s`;
}

function relative(then, now) {
  const seconds = (then - now) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

const absolute = (then) => new Date(then).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" });
const clockTime = (then) => new Date(then).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
