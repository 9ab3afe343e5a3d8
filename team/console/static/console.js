// What all pages share: how the line to the server stands, the count of what needs a person, moments in local time,
// forms that call the API and tell when it was accepted and when it was applied.
import { clean } from "./escape.js";
import { sentence } from "./stream.js";

const EVERY = 2000; // ms between two looks at the log
const ANEW = 30000; // ms after which the matters are counted again, though the log has not grown
const link = document.getElementById("link"), damaged = document.getElementById("damage"), count = document.getElementById("needs-count");
const receipts = document.getElementById("receipts"), title = document.title;
let head = "", looked = 0;

const ask = (at) => fetch(at, { cache: "no-store", headers: { Accept: "application/json" } });

function stand(word, tone) {
  if (link.textContent !== word) link.textContent = word;
  link.className = `link ${tone}`;
}

function showCount(number) {
  count.hidden = !number;
  count.textContent = number || "";
  count.setAttribute("aria-label", `${number} matters`);
  document.title = number ? `(${number}) ${title}` : title;
  sessionStorage.setItem("needs", number);
}

/** Looks whether the log has grown; if so, pages that follow it are drawn again. */
async function look() {
  if (document.hidden) return;
  try {
    const known = Date.now() - looked < ANEW ? head : "";
    const answer = await ask(`/api/head?known=${known}`);
    if (answer.status === 401) return stand("logged out: run team console", "bad");
    if (!answer.ok) return stand(await sentence(answer), "bad");
    const { seq, needs, damage } = await answer.json();
    stand("connected", "good");
    if (damaged.textContent !== damage) Object.assign(damaged, { textContent: damage, hidden: !damage });
    const grown = head !== "" && seq !== head;
    head = seq;
    if (needs !== null) {
      looked = Date.now();
      showCount(needs);
    }
    if (grown) document.body.dispatchEvent(new Event("changed"));
    waiting.forEach((check) => check());
  } catch {
    stand("no answer, trying", "warn");
  }
}

/** Shows moments as the clock on the wall does. */
export function local(root) {
  const today = new Date().toDateString();
  for (const each of root.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (isNaN(at)) continue;
    const pad = (number) => String(number).padStart(2, "0");
    const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
    const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
    each.textContent = at.toDateString() === today ? `${clock}:${pad(at.getSeconds())}` : `${day} ${clock}`;
  }
}

const waiting = new Set();

/** Tells what became of what was accepted, "" as long as the log does not say so. */
function appliedBy(now, key) {
  if (key) return now.needs.some((need) => need.key === key) ? "" : "applied";
  const { status, commit } = now.patch ?? {};
  if (!status || status === "held" || status === "pending") return "";
  return commit ? `${status} ${commit.slice(0, 7)}` : status;
}

/** Writes a receipt: what was accepted, and, once the log says so, what became of it. */
function receipt(about, value, { until, keyOf }) {
  const row = receipts.appendChild(document.createElement("li"));
  const accepted = document.createElement("span"), applied = document.createElement("span");
  accepted.className = "accepted";
  accepted.textContent = value?.seq ? `: accepted (${value.seq})` : ": accepted";
  applied.className = "applied";
  row.append(clean(about), accepted, applied);
  if (!until) return;
  const check = async () => {
    const answer = await ask(until);
    if (!answer.ok || !waiting.has(check)) return;
    const word = appliedBy(await answer.json(), keyOf);
    if (!word) return;
    applied.textContent = `, then ${word}`;
    waiting.delete(check);
  };
  waiting.add(check);
}

/** Returns the fields of a form as the body of a call: lists by commas, numbers and flags as such. */
function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue;
    if (!field.value && field.dataset.empty !== undefined) continue;
    const kind = field.dataset.kind;
    if (field.type === "checkbox") body[field.name] = field.checked;
    else if (kind === "list") body[field.name] = field.value.split(",").map((each) => each.trim()).filter(Boolean);
    else if (kind === "number") body[field.name] = Number(field.value);
    else body[field.name] = field.value;
  }
  return body;
}

/** Returns a key that is used once; `randomUUID` is not there without TLS. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Puts a part of a page that was answered in the place of the one that is shown. */
function put(id, html) {
  const part = new DOMParser().parseFromString(html, "text/html").getElementById(id);
  if (part) document.getElementById(id).replaceWith(part);
}

function fail(form, text) {
  const box = form.querySelector(".error") || form.appendChild(document.createElement("p"));
  box.className = "error";
  box.setAttribute("role", "alert");
  box.textContent = clean(text);
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const { send, about, then, into } = form.dataset;
  if (!send) return;
  event.preventDefault();
  const button = event.submitter ?? form.querySelector("button"), body = bodyOf(form);
  button.disabled = true;
  form.querySelector(".error")?.remove();
  try {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": (form.dataset.key ??= newKey()) };
    const answer = await fetch(send, { method: form.dataset.method || "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) fail(form, await sentence(answer));
    else if (into) put(into, await answer.text());
    else {
      delete form.dataset.key;
      const value = await answer.json().catch(() => ({}));
      if (then) return void location.assign(then.replace("{}", encodeURIComponent(value[form.dataset.field] ?? "")));
      receipt(about || "Done", value, form.dataset);
      form.closest("details.write")?.removeAttribute("open");
      form.reset();
      look();
    }
  } catch {
    fail(form, "no answer: it may or may not have been done; send it again, nothing is done twice");
  }
  button.disabled = false;
});

document.addEventListener("visibilitychange", look);
document.addEventListener("htmx:after:swap", () => local(document));
showCount(Number(sessionStorage.getItem("needs")));
local(document);
look();
setInterval(look, EVERY);
