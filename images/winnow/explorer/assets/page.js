// What several pages share: copy buttons beside commands, the list of keys, and pictures that cannot be drawn.
"use strict";
const page = (() => {
  const help = document.getElementById("help"), search = document.getElementById("q");
  const typing = (on) => on.matches("input:not([type=radio], [type=checkbox]), select, textarea");

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const from = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const range = document.createRange();
      range.selectNodeContents(from);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      // Without a secure context there is no clipboard: what is selected can be copied by hand.
      let done = false;
      try { await navigator.clipboard.writeText(from.textContent); done = true; }
      catch { done = document.execCommand("copy"); }
      button.textContent = done ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "?" && help) help.open ? help.close() : help.showModal();
    else if (event.key === "/" && search) { search.focus(); search.select(); }
    else return;
    event.preventDefault();
  });

  return { typing, help };
})();
