"use strict";
const $ = (id) => document.getElementById(id);
const examples = [];

function headers() {
  const key = $("key").value.trim();
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function getJson(path) {
  const response = await fetch(path, { headers: headers() });
  const document = await response.json();
  if (!response.ok) throw new Error(document.error || response.statusText);
  return document;
}

function bodyOf(content) {
  const named = Object.values(content.examples || {})[0];
  return content.example ?? (named && named.value);
}

// Every POST of the description that has an example of this model's own.
function collect(openapi, model) {
  for (const [path, item] of Object.entries(openapi.paths)) {
    const json = item.post?.requestBody?.content?.["application/json"];
    const body = json && bodyOf(json);
    if (body === undefined || path.includes("{version}")) continue;
    examples.push({ title: `${item.post.tags?.[0] ?? ""} ${path.replace("{model}", model)}`, path: path.replace("{model}", model), body });
  }
}

function shown() {
  return examples[Number($("dialect").value)];
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function showCurl() {
  if (!shown()) return;
  const url = new URL(shown().path.slice(1), location.href).href;
  const key = $("key").value.trim() ? " -H 'authorization: Bearer KEY'" : "";
  let body = $("body").value;
  try { body = JSON.stringify(JSON.parse(body)); } catch { /* as it stands */ }
  $("curl").textContent = `curl -s ${quoted(url)} -H 'content-type: application/json'${key} -d ${quoted(body)}`;
}

function choose() {
  $("body").value = shown() ? JSON.stringify(shown().body, null, 1) : "";
  showCurl();
}

function cell(row, text) {
  row.insertCell().textContent = text;
}

function showSignature(metadata) {
  const columns = metadata.parameters?.columns ?? {};
  for (const [side, tensors] of [["in", metadata.inputs], ["out", metadata.outputs]]) {
    for (const tensor of tensors) {
      const row = $("signature").insertRow();
      cell(row, `${side}: ${tensor.name}`);
      cell(row, tensor.datatype);
      cell(row, `[${tensor.shape.map((size) => (size === -1 ? "any" : size)).join(", ")}]`);
      cell(row, (columns[tensor.name] ?? []).join(", "));
    }
  }
}

async function send() {
  const started = performance.now();
  $("status").textContent = "";
  $("status").className = "quiet";
  try {
    const response = await fetch(shown().path.slice(1), {
      method: "POST",
      headers: { ...headers(), "content-type": "application/json" },
      body: $("body").value,
    });
    const text = await response.text();
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 1); } catch { /* shown as it came */ }
    $("status").textContent = `${response.status} in ${(performance.now() - started).toFixed(1)} ms`;
    if (!response.ok) $("status").className = "bad";
    $("answer").textContent = pretty;
  } catch (error) {
    $("status").className = "bad";
    $("status").textContent = String(error);
  }
}

async function start() {
  const index = await getJson("v1/models");
  const model = index.models[0];
  if (!model) throw new Error("no model is loaded yet");
  const metadata = await getJson(`v2/models/${encodeURIComponent(model)}`);
  const circuit = metadata.parameters?.circuit;
  const simulated = circuit ? ` (${metadata.parameters?.acceleration?.summary ?? "simulated"})` : "";
  const provider = (metadata.parameters?.providers ?? [])[0] ?? "";
  $("title").textContent = document.title = model;
  $("facts").textContent = `version ${metadata.parameters?.version ?? ""} · ${metadata.parameters?.digest ?? ""} · ${provider}${simulated}`;
  collect(await getJson("openapi.json"), model);
  examples.forEach((example, index) => $("dialect").add(new Option(example.title, index)));
  showSignature(metadata);
  choose();
}

function restart() {
  examples.length = 0;
  $("dialect").replaceChildren();
  $("signature").replaceChildren();
  start().catch((error) => { $("facts").textContent = String(error); $("facts").className = "bad"; });
}

$("dialect").addEventListener("change", choose);
$("body").addEventListener("input", showCurl);
$("key").addEventListener("change", restart);
$("send").addEventListener("click", send);
restart();
