// Makes what agents wrote harmless to look at, as mail/text/escape.py does for terminals and for pages of the server.

// Controls but newline and tab, what turns the direction of a text, what cannot be seen; the class is that of escape.py.
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;
const SEQUENCE = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_](?:(?!\x1b\\)[^\x07])*(?:\x07|\x1b\\)|\x1b[ -/]*[0-OQ-WYZ\\`-~]/g;
const OPEN = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07]*|[ -/]*)$/; // one that has not ended
const MOST_OPEN = 4096; // characters of a sequence; a longer one is none

/** Escapes the characters of a text that control, turn or hide something: `\x1b`, `\u202e`. */
export const clean = (text) => String(text).replace(UNSAFE, (each) => {
  const code = each.codePointAt(0);
  if (each === "\r") return "\\r";
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
});

/** Returns what makes text of the pieces of a terminal's output: colours and titles are left out, all else escaped. */
export function terminal() {
  let held = "";
  return (piece) => {
    const text = (held + piece).replace(SEQUENCE, ""), tail = text.slice(-MOST_OPEN), at = tail.search(OPEN);
    held = at < 0 ? "" : tail.slice(at);
    return clean(text.slice(0, text.length - held.length));
  };
}
