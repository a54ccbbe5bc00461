// The explorer: a walk through the graph of a design. The address names the way: #design/choice.choice...
// where a choice is the place of a step among all those that begin where one stands.
"use strict";

const CUTS = { Cancel: "is cancelled", Lose: "is lost" };
const NAMES = { StockStart: "pg_backup_start", StockStop: "pg_backup_stop", ListBackups: "read the view",
                Advance: "time passes:", Rollback: "start, rolled back:" };
const PLAIN = ["label", "role", "kind", "group"];
const unpacked = new Map();
let shown = 0; // which call of show() is the latest: a slow one must not overtake it

const byId = id => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// The graph

async function graphOf(design) {
  if (!unpacked.has(design)) {
    const packed = [...document.querySelectorAll(".graph")].find(one => one.dataset.design === design);
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed.textContent), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const graph = await new Response(stream).json();
    graph.from = graph.nodes.map(() => []);
    for (const edge of graph.edges) graph.from[edge[0]].push(edge);
    unpacked.set(design, graph);
  }
  return unpacked.get(design);
}

function claims(design) {
  return [...document.querySelectorAll(".graph")].find(one => one.dataset.design === design).dataset.claims.split(" ");
}

// The edges that these choices lead along, as far as there are such.
function walk(graph, choices) {
  const edges = [];
  let node = 0;
  for (const choice of choices) {
    const edge = graph.from[node][choice];
    if (!edge) break;
    edges.push(edge);
    node = edge[1];
  }
  return edges;
}

// The choices of a shortest way to where a promise is broken, from the beginning.
function shortest(graph, promise) {
  const reached = new Map([[0, null]]);
  for (const node of reached.keys()) {
    for (const [choice, edge] of graph.from[node].entries()) {
      if (!reached.has(edge[1])) reached.set(edge[1], [node, choice]);
      if ((edge[4] || []).includes(promise) || (graph.nodes[edge[1]].broken || []).includes(promise)) {
        const way = [choice];
        for (let before = reached.get(node); before; before = reached.get(before[0])) way.unshift(before[1]);
        return way;
      }
    }
  }
  return [];
}

// The address

function address(design, choices) {
  return "#" + encodeURIComponent(design) + (choices.length ? "/" + choices.join(".") : "");
}

function asked() {
  const [design, choices] = location.hash.slice(1).split("/");
  return { design: decodeURIComponent(design), choices: choices ? choices.split(".").map(Number) : [] };
}

function go(design, choices) {
  const there = address(design, choices);
  if (there === location.hash) show();
  else location.hash = there; // which shows it
}

// Words

function inWords(move) {
  if (move.operation in CUTS) return `${CUTS[move.operation]} ${move.phase || ""}`.trim();
  const spaced = move.operation.replace(/(?!^)[A-Z]/g, letter => " " + letter).toLowerCase();
  return [NAMES[move.operation] || spaced, given(move).join(", ")].join(" ").trim();
}

function given(move) {
  const every = { ...move.arguments, ...(move.arguments || {}).start };
  return Object.entries(every).flatMap(([name, value]) => {
    if (PLAIN.includes(name)) return [value === null ? "NULL" : String(value)];
    if (name === "seconds") return [`${value} s`];
    if (move.operation.startsWith("Set")) return [value === null ? "none" : String(value)];
    if (value === null) return [];
    if (name === "hazard") return [String(value)];
    if (name === "ttl") return [`ttl ${value} s`];
    if (name === "start_point") return [value === 0 ? "fenced by a stale start" : "fenced by its start"];
    return [];
  });
}

function phaseOf(move) {
  return move.phase && !(move.operation in CUTS) ? ` [${move.phase}]` : "";
}

function outcomeInWords(outcome) {
  return outcome === "..." ? "under way" : outcome.replaceAll("_", " ");
}

function isRefused(outcome) {
  return !/^(ok|\.\.\.|nobody)/.test(outcome) && !outcome.startsWith("57014");
}

function whose(number, state) {
  if (number === undefined || number === null) return "the server, time, an administrator";
  const role = state.sessions[number].role;
  return `session ${number} (${role === null ? "not connected" : role})`;
}

// What is shown

async function show() {
  const turn = ++shown, { design, choices } = asked();
  const graph = await graphOf(design || byId("design").value);
  if (turn !== shown) return;
  if (!graph) return complain(`There is no design ${design} on this page: choose another.`);
  const edges = walk(graph, choices), way = choices.slice(0, edges.length);
  complain(edges.length < choices.length
    ? `The link leads on for ${choices.length - edges.length} steps that are not in this graph: it is followed as far as it goes.` : "");
  const last = edges.at(-1), node = last ? last[1] : 0;
  byId("design").value = graph.design;
  byId("axes").textContent = Object.entries(graph.axes).map(([axis, value]) => `${axis.replaceAll("_", " ")}: ${value}`).join(" · ");
  showPromises(graph);
  byId("told").textContent = last ? told(graph, edges) : "It begins. Nothing has happened yet.";
  byId("state").replaceChildren(stateShown(graph.nodes[node].state));
  showBroken(graph, node, last);
  showSteps(graph, node, way);
  showPath(graph, edges, way);
  byId("sql").textContent = sql(graph, edges);
  byId("back").disabled = byId("again").disabled = !edges.length;
  byId("choosing").hidden = byId("walk").hidden = false;
}

function complain(words) {
  byId("complaint").textContent = words;
  byId("complaint").hidden = !words;
}

function told(graph, edges) {
  const edge = edges.at(-1), move = graph.steps[edge[2]];
  const before = graph.nodes[edge[0]].state;
  const who = move.session === undefined ? "" : whose(move.session, before) + ": ";
  return `${who}${inWords(move)}${phaseOf(move)}: ${outcomeInWords(graph.outcomes[edge[3]])}.`;
}

function showPromises(graph) {
  if (byId("promise").dataset.design === graph.design) return;
  const found = new Set([...graph.nodes.flatMap(node => node.broken || []), ...graph.edges.flatMap(edge => edge[4] || [])]);
  const options = [...found].sort((one, other) => one - other).map(number =>
    make("option", { value: number }, graph.promises[number].name.replaceAll("_", " ")));
  byId("promise").replaceChildren(make("option", { value: "" }, options.length ? "a promise …" : "nothing: none is broken here"), ...options);
  byId("promise").dataset.design = graph.design;
}

function stateShown(state) {
  const list = make("dl", { class: "now" });
  const row = (name, ...what) => list.append(make("dt", {}, name), make("dd", {}, ...what));
  row("core counts", make("b", { "data-core": "" }, String(state.core)), state.core === 1 ? " backup" : " backups");
  for (const backup of state.backups || []) {
    const rest = [`of ${backup.owner}`];
    if (backup.start_point) rest.push(`start ${backup.start_point}`);
    if (backup.expires_at !== undefined && backup.state === "active") rest.push(`expires in ${backup.expires_at - (state.now || 0)} s`);
    if (backup.forget_at !== undefined) rest.push(`is forgotten in ${backup.forget_at - (state.now || 0)} s`);
    if (backup.replaces) rest.push(`replaces what is ${backup.replaces}`);
    if (backup.carried) rest.push("was carried over a restart");
    if (backup.restorable === false) rest.push("cannot be restored");
    row(`label ${backup.label}`, make("span", { class: `tag ${backup.state}`, "data-label": backup.label }, backup.state), ` ${rest.join(", ")}`);
  }
  if (!(state.backups || []).length) row("labels", "none");
  for (const [number, session] of state.sessions.entries()) {
    const words = [session.role === null ? "not connected" : session.role];
    if (session.stock) words.push(`holds core's backup ${session.stock}`);
    if (session.amid) words.push(`amid ${session.amid.toLowerCase()} ${session.on}, next: ${session.next_phase}`);
    row(`session ${number}`, make("span", { "data-session": number }, words.join("; ")));
  }
  for (const [name, value] of Object.entries(state.settings || {})) row(name.replaceAll("_", " "), String(value));
  return list;
}

function showBroken(graph, node, last) {
  const breach = (number, where) => {
    const { name, sentence } = graph.promises[number], claimed = claims(graph.design).includes(name);
    return make("p", { class: claimed ? "breach claimed" : "breach", "data-promise": name },
      make("b", {}, name.replaceAll("_", " ")), ` is broken ${where}: ${sentence} `,
      make("small", {}, claimed ? "The design claims it." : "The design does not claim it."));
  };
  byId("broken").replaceChildren(
    ...(last && last[4] || []).map(number => breach(number, "by this step")),
    ...(graph.nodes[node].broken || []).map(number => breach(number, "here")));
}

function showSteps(graph, node, way) {
  const state = graph.nodes[node].state, groups = new Map();
  for (const [choice, edge] of graph.from[node].entries()) {
    const number = graph.steps[edge[2]].session ?? null;
    if (!groups.has(number)) groups.set(number, []);
    groups.get(number).push(stepShown(graph, edge, () => go(graph.design, [...way, choice]), choice));
  }
  const order = [...groups.keys()].sort((one, other) => (one ?? Infinity) - (other ?? Infinity));
  byId("steps").replaceChildren(...order.flatMap(number => {
    const items = groups.get(number), refused = items.filter(item => item.dataset.refused);
    const parts = [make("h3", {}, whose(number, state)), make("ul", { class: "steps" }, ...items.filter(item => !item.dataset.refused))];
    if (refused.length) parts.push(make("details", { class: "refused" },
      make("summary", {}, `refused (${refused.length})`), make("ul", { class: "steps" }, ...refused)));
    return parts;
  }));
}

function stepShown(graph, edge, onclick, choice) {
  const move = graph.steps[edge[2]], outcome = graph.outcomes[edge[3]];
  const button = make("button", { type: "button", onclick, "data-choice": choice, class: move.operation in CUTS || move.operation === "Restart" ? "cut" : undefined },
    make("span", {}, inWords(move) + phaseOf(move)), make("small", {}, outcomeInWords(outcome)));
  const broken = [...edge[4] || [], ...graph.nodes[edge[1]].broken || []];
  if ((edge[4] || []).length) button.append(make("small", { class: "breaks" }, "✗ breaks " + (edge[4] || []).map(number => graph.promises[number].name.replaceAll("_", " ")).join(", ")));
  else if (broken.length && !(graph.nodes[edge[0]].broken || []).length) button.append(make("small", { class: "breaks" }, "✗ leads to a broken promise"));
  return make("li", { "data-refused": isRefused(outcome) ? "yes" : undefined }, button);
}

function showPath(graph, edges, way) {
  byId("path").replaceChildren(...edges.map((edge, number) => {
    const broken = [...edge[4] || [], ...graph.nodes[edge[1]].broken || []];
    const words = told(graph, edges.slice(0, number + 1)).slice(0, -1);
    return make("li", { "aria-current": number === edges.length - 1 ? "step" : undefined },
      make("button", { type: "button", onclick: () => go(graph.design, way.slice(0, number + 1)) },
        words, ...(broken.length ? [make("span", { class: "breaks" }, " ✗")] : [])));
  }));
}

// As SQL

function sql(graph, edges) {
  const lines = [
    `-- A walk in the model of the design ${graph.design}.`,
    ...(graph.not_implemented ? [`-- There is ${graph.not_implemented}.`, "-- These are the calls of the extension, which need not end like this."] : []),
    "-- Each session has a psql of its own, of a superuser; set psql's variables (such as a_token) in each.",
    "", "-- an administrator, first:", ...graph.prepare,
    ...graph.nodes[0].state.sessions.flatMap((session, number) => session.role === null ? []
      : ["", `-- session ${number}:`, `SET SESSION AUTHORIZATION ${session.role};`]),
  ];
  edges.forEach((edge, number) => {
    const move = graph.steps[edge[2]], before = graph.nodes[edge[0]].state;
    const administrator = move.session === undefined || move.operation in CUTS || (phaseOf(move) && before.sessions[move.session].amid);
    lines.push("", `-- ${number + 1}. ${told(graph, edges.slice(0, number + 1))}`);
    lines.push(`-- ${administrator ? "an administrator" : `session ${move.session}`}:`);
    if (move.operation === "Restart") lines.push(`\\prompt 'Restart the server (${given(move).join(", ")}), then press Enter: ' answer`);
    lines.push(...move.sql || []);
  });
  return lines.join("\n") + "\n";
}

async function copy(button, text) {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser forbids it";
  }
  setTimeout(() => { button.textContent = words; }, 1500);
}

byId("design").addEventListener("change", event => go(event.target.value, []));
byId("promise").addEventListener("change", async event => {
  if (event.target.value === "") return;
  const graph = await graphOf(byId("design").value);
  go(graph.design, shortest(graph, Number(event.target.value)));
  event.target.value = "";
});
byId("back").addEventListener("click", () => { const { design, choices } = asked(); go(design, choices.slice(0, -1)); });
byId("again").addEventListener("click", () => go(asked().design, []));
byId("link").addEventListener("click", event => copy(event.target, location.href));
byId("copy").addEventListener("click", event => copy(event.target, byId("sql").textContent));
byId("choosing").addEventListener("submit", event => event.preventDefault());
byId("steps").addEventListener("click", () => byId("now").focus({ preventScroll: true }));
addEventListener("hashchange", show);
show();
