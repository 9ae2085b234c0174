"use strict";

function element(kind, text, parent, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.append(made);
  return made;
}

function describe(parent, title, content) {
  for (const [type, media] of Object.entries(content ?? {})) {
    element("p", `${title}: ${type}`, parent, "quiet");
    const named = Object.values(media.examples ?? {})[0];
    const example = media.example ?? named?.value;
    const shown = example ?? media.schema;
    if (shown !== undefined) element("pre", typeof shown === "string" ? shown : JSON.stringify(shown, null, 1), parent);
  }
}

function operation(parent, verb, path, about) {
  const details = element("details", undefined, parent);
  const summary = element("summary", undefined, details);
  element("span", verb.toUpperCase(), summary, "verb");
  element("code", path, summary);
  element("span", ` ${about.summary ?? ""}`, summary, "quiet");
  describe(details, "takes", about.requestBody?.content);
  for (const [status, response] of Object.entries(about.responses ?? {})) {
    element("p", `${status}: ${response.description ?? ""}`, details, "quiet");
  }
  describe(details, "gives", about.responses?.["200"]?.content);
}

async function start() {
  const key = document.getElementById("key").value.trim();
  const response = await fetch("openapi.json", { headers: key ? { authorization: `Bearer ${key}` } : {} });
  const openapi = await response.json();
  const list = document.getElementById("operations");
  list.replaceChildren();
  if (!response.ok) {
    element("p", openapi.error, list, "bad");
    return;
  }
  const groups = new Map();
  for (const [path, item] of Object.entries(openapi.paths)) {
    for (const [verb, about] of Object.entries(item)) {
      const tag = about.tags?.[0] ?? "";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([verb, path, about]);
    }
  }
  for (const [tag, entries] of groups) {
    element("h2", tag, list);
    entries.forEach(([verb, path, about]) => operation(list, verb, path, about));
  }
}

document.getElementById("key").addEventListener("change", start);
start();
