// Follows calls as server-sent events: appends the ladder's lines, keeps the capture for download.
"use strict";
const MOST_LINES = 10000; // of the ladder
const MOST_MESSAGES = 200;
const MOST_CAPTURED = 32 * 1024 * 1024; // octets

const form = document.getElementById("trace-form");
const state = document.getElementById("trace-state");
const ladder = document.getElementById("trace-ladder");
const messages = document.getElementById("trace-messages");
const start = document.getElementById("trace-start");
const stop = document.getElementById("trace-stop");
const save = document.getElementById("trace-save");
document.getElementById("trace-unscripted").hidden = true;
let source = null;
let captured = [];
let octets = 0;

function finish(text) {
  if (source) source.close();
  source = null;
  start.disabled = false;
  stop.disabled = true;
  state.textContent = text;
}

function append(lines, tone) {
  const atEnd = ladder.scrollTop + ladder.clientHeight >= ladder.scrollHeight - 40;
  for (const text of lines) {
    const line = document.createElement("div");
    line.className = tone;
    line.textContent = text;
    ladder.append(line);
  }
  while (ladder.childElementCount > MOST_LINES) ladder.firstElementChild.remove();
  if (atEnd) ladder.scrollTop = ladder.scrollHeight;
}

function keep(base64) {
  if (!base64 || octets > MOST_CAPTURED) return;
  const part = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  captured.push(part);
  octets += part.length;
}

// What can't be seen, such as a mark that turns the direction of writing, is shown as an escape.
function visible(text) {
  return text
    .replaceAll("\r\n", "\n")
    .replace(/[^\P{C}\n\t]|[\u2028\u2029]/gu, (each) => `\\u{${each.codePointAt(0).toString(16)}}`);
}

function showMessage(sighting) {
  if (!sighting.message) return;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const text = document.createElement("pre");
  summary.textContent = `${sighting.kind}: ${visible(sighting.message.split("\r\n", 1)[0])}`;
  text.textContent = visible(sighting.message);
  details.append(summary, text);
  messages.prepend(details);
  while (messages.childElementCount > MOST_MESSAGES) messages.lastElementChild.remove();
}

async function whyNot(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (answer.ok) return void answer.body.cancel();
    finish((await answer.json()).error);
  } catch {
    finish("The daemon doesn't answer.");
  }
}

function follow(address) {
  source = new EventSource(address);
  const on = (name, does) => source.addEventListener(name, (event) => does(JSON.parse(event.data)));
  on("begun", (begun) => {
    // a connection that was lost begins a new trace, and so a new capture
    captured = [];
    octets = 0;
    keep(begun.pcap);
    append([begun.heading], "provisional");
    state.textContent = `Following for ${begun.seconds} seconds.`;
  });
  on("sighting", (sighting) => {
    append(sighting.lines, sighting.class);
    keep(sighting.pcap);
    showMessage(sighting);
    save.disabled = !octets;
  });
  on("left_out", (left) => append([`${left.number} more were left out: more than a trace shows`], "failure"));
  on("refused", (refused) => finish(refused.error));
  on("end", (end) => finish(`The trace is over: ${end.calls} ${end.calls === 1 ? "call" : "calls"}, ${end.seen} messages and decisions.`));
  source.addEventListener("error", (event) => {
    if (!source) return;
    if (event.target.readyState === EventSource.CLOSED) {
      finish("The trace was refused.");
      whyNot(address);
    } else {
      state.textContent = "The daemon doesn't answer; trying again.";
    }
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value.trim()) query.set(name, value.trim());
  query.set("pcap", "1");
  ladder.replaceChildren();
  messages.replaceChildren();
  captured = [];
  octets = 0;
  start.disabled = true;
  stop.disabled = false;
  save.disabled = true;
  state.textContent = "Starting.";
  follow(`/api/v1/trace?${query}`);
});
stop.addEventListener("click", () => finish("Stopped."));
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(captured, { type: "application/vnd.tcpdump.pcap" }));
  link.download = "chatredirect.pcap";
  link.click();
  URL.revokeObjectURL(link.href);
});
window.addEventListener("pagehide", () => source && source.close());
