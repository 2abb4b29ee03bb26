// Puts the values that have changed into the elements of their ids, while the page is seen.
"use strict";
const liveState = document.getElementById("live-state");
let source = null;

function follow() {
  if (source) return;
  source = new EventSource("/api/v1/live");
  source.addEventListener("values", (event) => {
    liveState.textContent = "Values refresh by themselves.";
    for (const [id, text] of Object.entries(JSON.parse(event.data))) {
      const element = document.getElementById(id);
      if (element && element.textContent !== text) element.textContent = text;
    }
  });
  source.addEventListener("error", (event) => {
    liveState.textContent =
      event.target.readyState === EventSource.CLOSED
        ? "Values don't refresh: too many look at this page, or you are logged out. Load it again later."
        : "The daemon doesn't answer; trying again.";
  });
}

function leave() {
  if (source) source.close();
  source = null;
}

// A page in the background takes none of the few streams that there are.
function followWhileSeen() {
  if (document.visibilityState === "visible") follow();
  else leave();
}
document.addEventListener("visibilitychange", followWhileSeen);
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", followWhileSeen);
