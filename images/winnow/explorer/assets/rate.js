// Keys of the page of ratings: digits answer, Enter saves, S leaves it for later, B goes back.
"use strict";
(() => {
  const form = document.getElementById("answer"), back = document.getElementById("back");
  for (const choice of document.querySelectorAll("input[data-key]"))
    winnow.keys[choice.dataset.key] = () => { choice.checked = true; choice.focus({ preventScroll: true }); };
  const skip = document.getElementById("skip");
  if (skip) winnow.keys["s"] = () => skip.click();
  if (back) winnow.keys["b"] = () => back.click();
  if (!form) return;
  winnow.keys["Enter"] = () => form.requestSubmit();
  // One answer is sent once, however often the key is pressed.
  let sent = false;
  form.addEventListener("submit", (event) => { if (sent) event.preventDefault(); sent = true; });
  addEventListener("pageshow", () => { sent = false; });
})();
