// Ask many: rows of persona and prompt, a thread for each that streams at once, and what was asked before.
// All that agents say is only ever text, and what would turn or hide it is escaped.
import { local, newKey } from "./console.js";
import { clean } from "./escape.js";
import { follow, sentence } from "./stream.js";

const $ = (id) => document.getElementById(id);
const rows = $("rows"), threads = new Map();
let ask = null, leave = () => {};

const make = (name, of = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), of);
  for (const each of ["textContent", "title"]) if (of[each]) made[each] = clean(of[each]);
  made.append(...inside);
  return made;
};
const say = (box, text) => Object.assign(box, { textContent: clean(text), hidden: !text });
const call = (at, method = "POST", body, more = {}) =>
  fetch(at, { method, cache: "no-store", headers: { Accept: "application/json", "Content-Type": "application/json", ...more }, body: body && JSON.stringify(body) });

// -- what is asked

function addRow({ persona, prompt = "", after = [] } = {}) {
  const row = $("row").content.firstElementChild.cloneNode(true);
  if (persona) choose(row.querySelector(".who"), persona);
  row.querySelector(".what").value = prompt;
  row.dataset.after = after[0] ?? "";
  row.querySelector(".drop").onclick = () => {
    row.remove();
    number();
    $("add").focus();
  };
  rows.append(row);
  return row;
}

function choose(select, value) {
  const known = [...select.options].find((each) => each.value.toLowerCase() === value.toLowerCase());
  if (known) select.value = known.value;
  else select.append(make("option", { value, textContent: `${value} (not on the team)`, selected: true }));
}

/** Numbers the rows, and offers each to begin after one before it. */
function number() {
  [...rows.children].forEach((row, at) => {
    row.querySelector("legend").textContent = `Task ${at + 1}`;
    row.querySelector(".drop").disabled = rows.children.length === 1;
    const after = row.querySelector(".after"), was = after.value || row.dataset.after;
    after.replaceChildren(make("option", { value: "", textContent: "at once" }));
    for (let before = 0; before < at; before++) after.append(make("option", { value: before, textContent: `after task ${before + 1}, with its answer` }));
    after.value = [...after.options].some((each) => each.value === String(was)) ? was : "";
    row.dataset.after = "";
  });
}

function fill(tasks) {
  rows.replaceChildren();
  tasks.forEach(addRow);
  number();
  $("multi").open = true;
  rows.querySelector(".what").focus();
}

async function runAll(event) {
  event.preventDefault();
  const tasks = [...rows.children].map((row) => {
    const after = row.querySelector(".after").value;
    return {
      persona: row.querySelector(".who").value, prompt: row.querySelector(".what").value,
      after: after ? [Number(after)] : [], follow_up: $("follow").checked, keep: $("answers").checked ? "answer" : "all",
    };
  });
  $("run").disabled = true;
  say($("ask-error"), "");
  try {
    const answer = await call("/api/asks", "POST", { tasks }, { "Idempotency-Key": ($("ask").dataset.key ??= newKey()) });
    delete $("ask").dataset.key;
    if (!answer.ok) say($("ask-error"), await sentence(answer));
    else location.hash = (await answer.json()).id;
  } catch {
    say($("ask-error"), "no answer: run it again, unchanged; nothing is asked twice");
  }
  $("run").disabled = false;
}

// -- what is answered

function thread(task) {
  const state = make("span", { className: "status plain", textContent: "waits" });
  const text = make("pre", { className: "said", tabIndex: 0 });
  const error = make("p", { className: "error", hidden: true });
  const stop = make("button", { type: "button", className: "danger", textContent: "Stop" });
  const pass = make("button", { type: "button", textContent: "Pass on", hidden: true });
  const again = make("button", { type: "button", textContent: "Ask again", hidden: true });
  const run = make("a", { className: "run", hidden: true });
  text.setAttribute("role", "log");
  text.setAttribute("aria-label", clean(`What ${task.name} says`));
  stop.setAttribute("aria-label", clean(`Stop ${task.name}`));
  const head = make("header", {}, make("h3", { textContent: task.name }), state, run);
  const box = make("article", { className: "thread", id: `thread-${task.task}` }, head, make("p", { className: "asked", textContent: task.prompt, title: task.prompt }), text, error, make("div", { className: "actions" }, stop, pass, again));
  const own = { task, box, state, text, error, stop, pass, again, run };
  stop.onclick = () => act(`/tasks/${encodeURIComponent(task.task)}/stop`, own.error);
  again.onclick = () => fill([task]);
  pass.onclick = () => {
    fill([{ prompt: `\n\n${task.name} answered:\n${text.textContent}` }]);
    rows.querySelector(".what").setSelectionRange(0, 0);
  };
  return own;
}

function stand(own, word, tone) {
  say(own.state, word);
  own.state.className = `status ${tone}`;
  const over = tone !== "busy" && tone !== "plain";
  own.stop.hidden = over;
  own.pass.hidden = !over || !own.text.textContent;
  own.again.hidden = !over;
  own.chip.className = `status ${tone}`;
}

async function show(id) {
  leave();
  const answer = await call(`/api/asks/${encodeURIComponent(id)}`, "GET");
  $("live").hidden = false;
  if (!answer.ok) return say($("live-error"), await sentence(answer));
  ask = await answer.json();
  say($("live-error"), "");
  threads.clear();
  $("threads").replaceChildren();
  $("jump").replaceChildren();
  for (const task of ask.tasks) {
    const own = thread(task);
    own.chip = make("a", { href: `#${id}`, className: "status plain", textContent: task.name, onclick: (event) => jump(event, own) });
    threads.set(task.name, own);
    $("threads").append(own.box);
    $("jump").append(own.chip);
  }
  $("live-name").textContent = ask.tasks.map((task) => task.name).join(", ");
  $("multi").open = false;
  watch(id);
  history();
}

function jump(event, own) {
  event.preventDefault();
  own.text.focus();
  own.box.scrollIntoView({ block: "start" });
}

function watch(id, last = "") {
  over(false);
  leave = follow(`/api/asks/${encodeURIComponent(id)}/stream`, (event, data, at) => {
    last = at ?? last;
    watch.last = last;
    if (event === "complete") {
      over(true);
      return true;
    }
    if (event === "restarted") threads.forEach(clear);
    else heard(event, data);
    return false;
  }, { last, tell: (word) => say($("live-state"), { live: "live", waiting: "the line broke, trying", over: "all have ended", asleep: "" }[word] ?? word) });
}

function clear(own) {
  own.text.textContent = "";
  say(own.error, "");
  stand(own, "waits", "plain");
}

function heard(event, data) {
  if (threads.has(event)) return write(threads.get(event), data);
  const [, kind, name] = /^(done|error|queued|retry)_(.*)$/s.exec(event) ?? [];
  const own = threads.get(name);
  if (!own) return;
  if (kind === "done") {
    say(own.error, "");
    stand(own, "done", "good");
  } else if (kind === "error") {
    say(own.error, data);
    stand(own, "failed", "bad");
  } else if (kind === "queued") stand(own, `waits, place ${JSON.parse(data).place}`, "plain");
  else {
    say(own.error, "");
    if (own.text.textContent) own.text.append("\n");
    stand(own, `attempt ${JSON.parse(data).attempt}`, "busy");
  }
}

function write(own, data) {
  const box = own.text, down = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
  if (!own.state.classList.contains("busy")) stand(own, "answers", "busy");
  box.append(clean(data));
  if (down) box.scrollTop = box.scrollHeight;
}

/** Once all have ended, offers what can be done then, and links each thread to its run. */
async function over(yes) {
  const failed = [...threads.values()].some((own) => own.state.classList.contains("bad"));
  $("stop-all").hidden = yes;
  $("retry").hidden = !yes || !failed;
  if (!yes) return;
  history();
  const answer = await call(`/api/asks/${encodeURIComponent(ask.id)}`, "GET");
  if (!answer.ok) return;
  for (const { name, run } of (await answer.json()).tasks) {
    const own = threads.get(name);
    if (own && run) Object.assign(own.run, { href: `/runs/${encodeURIComponent(run)}`, textContent: run.slice(0, 8), hidden: false });
  }
}

async function act(what, box) {
  try {
    const answer = await call(`/api/asks/${encodeURIComponent(ask.id)}${what}`);
    say(box, answer.ok ? "" : await sentence(answer));
    return answer.ok;
  } catch {
    say(box, "no answer: try again");
    return false;
  }
}

// -- what was asked before

async function history() {
  const box = $("history"), answer = await call("/api/asks", "GET").catch(() => null);
  if (!answer?.ok) return box.replaceChildren(make("p", { className: "error", textContent: answer ? await sentence(answer) : "no answer" }));
  const asks = await answer.json();
  if (!asks.length) return box.replaceChildren(make("p", { className: "empty", textContent: "Nothing was asked yet. What you ask stays here, and looking at it again costs nothing." }));
  box.replaceChildren(...asks.slice(0, 100).map(({ id, started, over, tasks }) => {
    const failed = tasks.filter((task) => task.error).length;
    const [word, tone] = !over ? ["open", "busy"] : failed ? [`${failed} failed`, "bad"] : ["done", "good"];
    const when = make("time", { dateTime: started ?? "", textContent: started ?? "" });
    return make("a", { href: `#${id}` }, make("span", { className: `status ${tone}`, textContent: word }), make("span", { className: "names", textContent: tasks.map((task) => task.name).join(", ") }), make("span", { className: "soft first", textContent: tasks[0]?.prompt ?? "" }), when);
  }));
  local(box);
}

$("ask")?.addEventListener("submit", runAll);
$("ask")?.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && $("ask").requestSubmit());
if ($("ask")) {
  $("add").onclick = () => {
    const row = addRow();
    number();
    row.querySelector(".who").focus();
  };
  for (const box of document.querySelectorAll(".template")) {
    box.querySelector(".use").onclick = () => {
      const values = Object.fromEntries([...box.querySelectorAll("input")].map((each) => [each.dataset.name, each.value]));
      fill(JSON.parse(box.dataset.rows).map((row) => ({ ...row, prompt: row.prompt.replace(/\$\{([\w-]+)\}/g, (whole, name) => values[name] ?? whole) })));
    };
  }
  addRow({ prompt: rows.dataset.prompt });
  number();
}
$("stop-all").onclick = () => act("/stop", $("live-error"));
$("again").onclick = () => fill(ask.tasks);
$("retry").onclick = async () => (await act("/retry", $("live-error"))) && watch(ask.id, watch.last);
const open = () => /^#[0-9a-f-]{36}$/.test(location.hash) && show(location.hash.slice(1));
addEventListener("hashchange", open);
if (!open()) history();
