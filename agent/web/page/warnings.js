// What is wrong now, by whose turn it is; what is only good to know stands below the registries.

function showWarnings(section, notices, doc) {
  const shown = JSON.stringify(doc.warnings);
  if (section.dataset.shown === shown) return;
  section.dataset.shown = shown;
  const weighty = doc.warnings.filter(weighs);
  const groups = Object.entries(TURNS).map(([turn, { title, who }]) =>
    group(
      title,
      who,
      weighty.filter((warning) => turnOf(warning) === turn),
    ),
  );
  section.replaceChildren(...groups.flat());
  notices.replaceChildren(
    ...group(
      "Good to know",
      "no login suffers from it",
      doc.warnings.filter((warning) => !weighs(warning)),
    ),
  );
}

function group(title, who, warnings) {
  if (!warnings.length) return [];
  const heading = el("h2", {}, title, who ? el("span", { class: "aside" }, ` ${who}`) : null);
  return [heading, el("ul", { class: "warnings" }, ...worstFirst(warnings).map(warningItem))];
}

function warningItem(warning) {
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
        outside(warning.subject),
        " · ",
        el("code", {}, outside(warning.code)),
        " · for ",
        time(warning.first_seen, "for"),
        often,
      ),
    ),
  );
}

// What nobody has to act on is only explained.
function hint(warning) {
  if (!warning.hint) return null;
  const lead = weighs(warning) && turnOf(warning) !== "nobody" ? "What to do: " : "";
  return el("p", { class: "hint" }, lead, outside(lead ? warning.hint : sentenceCase(warning.hint)));
}

const sentenceCase = (word) => String(word).charAt(0).toUpperCase() + String(word).slice(1);
