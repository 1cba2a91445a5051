// The ten seconds: digits toggle a second, Shift and a digit plays it; the box of the second that plays is marked.
"use strict";
(() => {
  const form = document.getElementById("answer"), back = document.getElementById("back");
  const skip = document.getElementById("skip");
  if (skip) winnow.keys["s"] = () => skip.click();
  if (back) winnow.keys["b"] = () => back.click();
  if (!form) return;
  const boxes = [...form.querySelectorAll("input[name=second]")];
  const set = (values) => boxes.forEach((box, i) => { box.checked = values(i, box); });
  boxes.forEach((box, i) => {
    const digit = String((i + 1) % 10);
    winnow.keys[digit] = () => { box.checked = !box.checked; };
    winnow.keys["shift+" + digit] = () => winnow.playFrom(i, i + 1);
    box.closest("li").querySelector(".play").addEventListener("click", () => winnow.playFrom(i, i + 1));
  });
  winnow.keys["a"] = () => set(() => true);
  winnow.keys["x"] = () => set(() => false);
  winnow.keys["p"] = () => set((i, box) => box.defaultChecked);
  for (const button of form.querySelectorAll("button[data-act]"))
    button.addEventListener("click", () => winnow.keys[button.dataset.act]());
  winnow.keys["Enter"] = () => form.requestSubmit();
  winnow.video.addEventListener("moved", () => {
    const now = Math.floor(winnow.video.currentTime);
    boxes.forEach((box, i) => box.closest("li").classList.toggle("now", i === now));
  });
  let sent = false;
  form.addEventListener("submit", (event) => { if (sent) event.preventDefault(); sent = true; });
  addEventListener("pageshow", () => { sent = false; });
})();
