// The output of a run: whole, from its first byte, and live while it prints.
import { terminal } from "./escape.js";
import { follow } from "./stream.js";

const box = document.getElementById("output"), state = document.getElementById("output-state");
const at = (last) => `/api/runs/${encodeURIComponent(box.dataset.run)}/output?from=${last || 0}`;
const shown = terminal();
const words = { live: "live", waiting: "waiting for the server", asleep: "", over: "" };

follow(at, (event, data) => {
  if (event === "end" || event === "complete" || event.startsWith("done")) return true;
  const down = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
  if (event === "restarted") box.textContent = "";
  else box.append(shown(data));
  if (down) box.scrollTop = box.scrollHeight;
  return false;
}, {
  tell(word) {
    state.textContent = words[word] ?? word;
    if (word === "over" && !box.textContent) box.textContent = "It has printed nothing.";
  },
});
