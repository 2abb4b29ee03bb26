// Shows each time in its reader's own time zone, with UTC beside it.
"use strict";
function showTime(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const utc = document.createElement("span");
  utc.className = "utc";
  utc.textContent = ` (${element.textContent})`;
  const form = { dateStyle: "medium", timeStyle: "short" };
  element.replaceChildren(new Intl.DateTimeFormat(undefined, form).format(at), utc);
}
document.querySelectorAll("time").forEach(showTime);
