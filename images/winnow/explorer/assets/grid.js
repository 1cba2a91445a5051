// The grid of clips: arrows go from one to another, a pointer that rests on one plays it, the space bar too.
"use strict";
(() => {
  const cards = [...document.querySelectorAll(".card")], more = document.getElementById("more");
  let shown = null, waiting = null;

  const video = (card) => {
    const found = document.createElement("video");
    Object.assign(found, { loop: true, playsInline: true, preload: "metadata" });
    found.setAttribute("aria-hidden", "true");
    found.src = card.dataset.clip;
    return found;
  };
  const stop = () => {
    clearTimeout(waiting);
    if (shown) { shown.player.pause(); shown.player.removeAttribute("src"); shown.player.load(); shown.player.remove(); }
    shown = null;
  };
  // With sound where the browser lets it, which wants a click or a key on the page before; else mute.
  const play = (card) => {
    if (shown?.card === card) return;
    stop();
    const player = video(card);
    shown = { card, player };
    card.querySelector(".still").append(player);
    player.play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      player.muted = true;
      player.play().catch(() => {});
    });
    player.addEventListener("error", stop);
  };
  for (const card of cards) {
    card.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      clearTimeout(waiting);
      waiting = setTimeout(() => play(card), 250);
    });
    card.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") stop(); });
    card.addEventListener("blur", () => { if (shown?.card === card && !card.matches(":hover")) stop(); });
  }

  // How many stand beside each other: those whose top is the first one's.
  const columns = () => Math.max(1, cards.filter((card) => card.offsetTop === cards[0].offsetTop).length);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || page.typing(event.target) || page.help?.open) return;
    const at = cards.indexOf(document.activeElement);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
    if (step && cards.length) {
      const to = at < 0 ? 0 : Math.min(Math.max(at + step, 0), cards.length - 1);
      cards[to].focus();
    } else if (event.key === " " && at >= 0) {
      shown?.card === cards[at] ? stop() : play(cards[at]);
    } else if (event.key.toLowerCase() === "m" && more) {
      more.click();
    } else return;
    event.preventDefault();
  });
  addEventListener("pagehide", stop);
})();
