// Follows a stream of server-sent events, and goes on after the last one that it had: when the line broke, when the
// server began anew, and when the tab was hidden meanwhile. It reads text and never makes HTML of it.

const LEAST = 250, MOST = 8000; // ms between two attempts

/**
 * Calls `on(event, data, id)` for each event of an address, until `on` returns true or the returned function is called.
 * `tell(word)` hears how the line stands: live, waiting, asleep, over, or the sentence of a refusal. `address` may be a
 * function of the last id.
 */
export function follow(address, on, { last = "", tell = () => {} } = {}) {
  let abort = null, over = false, pause = LEAST, timer = 0;

  const end = (word) => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
    abort?.abort();
    tell(word);
  };
  const turn = () => {
    clearTimeout(timer);
    if (document.hidden) {
      abort?.abort();
      tell("asleep");
    } else open();
  };
  const open = async () => {
    if (over || document.hidden) return;
    const own = (abort = new AbortController());
    try {
      const headers = { Accept: "text/event-stream; team=1", ...(last && { "Last-Event-ID": last }) };
      const url = typeof address === "function" ? address(last) : address;
      const answer = await fetch(url, { headers, signal: own.signal, cache: "no-store" });
      if (!answer.ok) {
        if (answer.status < 500 && answer.status !== 429) return end(await sentence(answer));
        throw new Error(answer.status);
      }
      tell("live");
      await read(answer.body.getReader(), (event, data, id) => {
        pause = LEAST;
        if (id !== null) last = id;
        if (on(event, data, id)) end("over");
        return over;
      });
    } catch {
      // the line broke: the next attempt goes on after the last event
    }
    if (over || own !== abort || document.hidden) return;
    tell("waiting");
    timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, MOST);
  };
  document.addEventListener("visibilitychange", turn);
  open();
  return () => over || end("over");
}

/** Returns the sentence of an answer that is an error. */
export async function sentence(answer) {
  try {
    return (await answer.json()).error || `error ${answer.status}`;
  } catch {
    return `error ${answer.status}`;
  }
}

async function read(reader, on) {
  const decoder = new TextDecoder();
  let rest = "", event = "", data = [], id = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (!line) {
        if (data.length && on(event || "message", data.join("\n"), id)) return;
        [event, data, id] = ["", [], null];
      } else if (line[0] !== ":") {
        const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (name === "data") data.push(text);
        else if (name === "event") event = text;
        else if (name === "id") id = text;
      }
    }
  }
}
