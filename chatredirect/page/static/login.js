// Takes the token from the address that `chatredirect page` prints: what follows # is never sent.
"use strict";
function takeToken() {
  const shown = window.location.hash.slice(1);
  if (!shown) return;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  try {
    document.getElementById("token").value = decodeURIComponent(shown);
  } catch {
    document.getElementById("token").value = shown; // no percent-encoding
  }
  document.getElementById("login").requestSubmit();
}
takeToken();
window.addEventListener("hashchange", takeToken); // the address was opened where the form is already
