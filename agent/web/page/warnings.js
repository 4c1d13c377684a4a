// Shows the open warnings, grouped by who has to act. Notices are shown below the registries.

function showWarnings(section, notices, doc) {
  const shown = JSON.stringify(doc.warnings);
  if (section.dataset.shown === shown) return;
  section.dataset.shown = shown;
  const urgent = doc.warnings.filter(affectsCondition);
  const groups = Object.entries(OWNERS).map(([owner, { title, who }]) =>
    group(
      title,
      who,
      urgent.filter((warning) => ownerOf(warning) === owner),
    ),
  );
  section.replaceChildren(...groups.flat());
  notices.replaceChildren(
    ...group(
      "Good to know",
      "no login is affected",
      doc.warnings.filter((warning) => !affectsCondition(warning)),
    ),
  );
}

function group(title, who, warnings) {
  if (!warnings.length) return [];
  const heading = el("h2", {}, title, who ? el("span", { class: "aside" }, ` ${who}`) : null);
  return [heading, el("ul", { class: "warnings" }, ...alike(worstFirst(warnings)).map(faultItem))];
}

// Shows a fault once, with all registries that have it.
function faultItem([warning, ...others]) {
  const tone = TONES[warning.severity] ?? "bad";
  const often = warning.count > 1 ? ` · seen ${warning.count} times` : "";
  return el(
    "li",
    { "data-tone": tone },
    icon(tone),
    el(
      "div",
      {},
      el("p", { class: "message" }, el("strong", {}, `${sentenceCase(warning.severity)}: `), outside(warning.message)),
      hint(warning),
      el(
        "p",
        { class: "aside" },
        outside([warning, ...others].map(({ subject }) => subject).join(", ")),
        " · ",
        el("code", {}, outside(warning.code)),
        " · for ",
        time(warning.first_seen, "for"),
        often,
      ),
    ),
  );
}

// A hint that needs no action is an explanation, so it has no "What to do".
function hint(warning) {
  if (!warning.hint) return null;
  const lead = affectsCondition(warning) && ownerOf(warning) !== "nobody" ? "What to do: " : "";
  const text = lead ? warning.hint : sentenceCase(warning.hint);
  // Commands and settings stand between backquotes.
  const parts = text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
  return el("p", { class: "hint" }, lead, el("bdi", { class: "outside" }, ...parts));
}

const sentenceCase = (word) => String(word).charAt(0).toUpperCase() + String(word).slice(1);
