// What the status document comes down to, in words, and when. Nothing here touches the page.

const TURNS = {
  user: { lead: "Your turn", title: "Your turn" },
  admin: {
    lead: "An admin's turn",
    title: "An admin's turn",
    who: "whoever runs the platform, the registry or the AWS account",
  },
  nobody: {
    lead: "Nothing to do, the agent is trying again",
    title: "Nobody's turn",
    who: "the agent is trying again",
  },
};
const SEVERITIES = ["error", "warning", "notice"];
const STATES = {
  pending: { words: "not tried yet", tone: "wait" },
  logged_in: { words: "logged in", tone: "well" },
  retrying: { words: "trying again", tone: "warn" },
  rejected: { words: "refused", tone: "bad" },
  expired: { words: "expired", tone: "bad" },
  skipped: { words: "left alone", tone: "off" },
};
const TONES = { error: "bad", warning: "warn", notice: "off" };

const weighs = (warning) => warning.severity !== "notice";
// A word that this page does not know is taken for the reader's.
const turnOf = (warning) => (Object.hasOwn(TURNS, warning.needs) ? warning.needs : "user");
const gravity = (warning) => (SEVERITIES.indexOf(warning.severity) + SEVERITIES.length + 1) % (SEVERITIES.length + 1);
const stateOf = (row) =>
  Object.hasOwn(STATES, row.state)
    ? STATES[row.state]
    : { words: String(row.state).replaceAll("_", " "), tone: "wait" };

// Who can act comes first, then what is worst.
function worstFirst(warnings) {
  const rank = (warning) => [turnOf(warning) === "nobody", gravity(warning), turnOf(warning) !== "user"];
  return [...warnings].sort(
    (a, b) =>
      rank(a)
        .map((value, at) => value - rank(b)[at])
        .find((value) => value) ?? 0,
  );
}

// {tone, sentence}: all is well, or what is not and whose turn it is.
function verdict(doc) {
  const [worst, ...more] = worstFirst(doc.warnings.filter(weighs));
  if (doc.phase === "stopping") return { tone: "wait", sentence: "The agent is ending, and nobody renews the logins." };
  if (worst) {
    const others = more.length ? `, and ${more.length} more` : "";
    const tone = doc.condition === "error" ? "bad" : "warn";
    return { tone, sentence: `${TURNS[turnOf(worst)].lead}: ${worst.message}${others}.` };
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
  const inside = rows.filter((row) => row.state === "logged_in");
  const alone = rows.length - inside.length;
  if (!rows.length) return "there are no registry secrets, so nothing to log in to";
  if (alone) return `${inside.length} of ${counted(rows.length, "registry")} logged in, ${alone} left alone`;
  return rows.length === 1 ? `${rows[0].hostname} is logged in` : `all ${rows.length} registries are logged in`;
}

function counted(number, thing) {
  return `${number} ${number === 1 ? thing : thing.replace(/y$/, "ie") + "s"}`;
}

// Such as `11 h 20 min`; seconds below two minutes.
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
