// The clip player that all pages share: starts by itself where the browser lets it, and answers to keys. Pages add
// their own keys with `winnow.keys`.
"use strict";
const winnow = (() => {
  const video = document.getElementById("player"), sound = document.getElementById("sound");
  const keys = {};
  let until = null;

  const play = () => video.play().catch(() => {});
  const seek = (s) => { video.currentTime = Math.min(Math.max(s, 0), Math.max(0, (video.duration || 0) - 0.01)); };
  const playFrom = (s, end = null) => { until = end; seek(s); play(); };

  // How fast it plays, kept from clip to clip.
  const RATES = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2], told = document.getElementById("rate");
  const setRate = (value) => {
    video.playbackRate = video.defaultPlaybackRate = value;
    if (sound) sound.playbackRate = sound.defaultPlaybackRate = value;
    if (told) told.value = String(value);
    try { sessionStorage.setItem("winnow-rate", String(value)); } catch { /* a browser that keeps nothing */ }
  };
  const rate = (by) => {
    const at = RATES.indexOf(video.playbackRate) + by;
    setRate(RATES[Math.min(Math.max(at, 0), RATES.length - 1)]);
  };

  // A recycled clip's sound is a file of its own, which follows the mute video: it plays when that plays, and where it
  // is more than a tenth of a second off it is set right.
  const follow = () => {
    const at = video.currentTime - Number(sound.dataset.start);
    const heard = !video.paused && !video.seeking && video.readyState > 2 && at >= 0 && !(at >= sound.duration);
    if (!heard) { if (!sound.paused) sound.pause(); return; }
    if (!sound.seeking && Math.abs(sound.currentTime - at) > 0.1) sound.currentTime = at;
    // A browser that lets nothing sound before a key or a click waits for one with both.
    const wait = (error) => { if (error.name === "NotAllowedError") { video.pause(); seek(0); } };
    if (sound.paused) sound.play().catch(wait);
  };

  // Stops at the end of a stretch that was asked for; exact to a picture, which `timeupdate` (four a second) is not.
  const watch = () => {
    if (until !== null && video.currentTime >= until) {
      video.pause();
      until = null;
    }
    if (sound) follow();
    video.dispatchEvent(new CustomEvent("moved"));
    requestAnimationFrame(watch);
  };

  if (video) {
    keys[" "] = () => { until = null; video.paused ? play() : video.pause(); };
    keys["ArrowLeft"] = () => { until = null; seek(video.currentTime - 1); };
    keys["ArrowRight"] = () => { until = null; seek(video.currentTime + 1); };
    keys["r"] = () => playFrom(0);
    keys["<"] = () => rate(-1);
    keys[">"] = () => rate(1);
    video.addEventListener("seeking", () => { if (until !== null && video.currentTime > until) until = null; });
    if (sound) {
      sound.hidden = true;
      video.muted = true;
      video.addEventListener("volumechange", () => { sound.volume = video.volume; video.muted = true; });
      sound.addEventListener("error", () => { document.querySelector(".player-error").hidden = false; });
      if (sound.error) document.querySelector(".player-error").hidden = false;
    }
    video.addEventListener("error", () => { document.querySelector(".player-error").hidden = false; });
    if (video.error) document.querySelector(".player-error").hidden = false;
    let before = null;
    try { before = sessionStorage.getItem("winnow-rate"); } catch { /* as above */ }
    if (RATES.includes(Number(before))) setRate(Number(before));
    if (told) { told.closest("label").hidden = false; told.addEventListener("change", () => setRate(Number(told.value))); }
    requestAnimationFrame(watch);
    if (video.closest("form")) play();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    const typing = on.matches("input:not([type=radio], [type=checkbox]), select, textarea");
    const key = event.shiftKey && event.code.startsWith("Digit") ? "shift+" + event.code.slice(5) : event.key.toLowerCase();
    const act = keys[event.key] || keys[key];
    if (typing || !act || (on === video && event.key === " ")) return;
    if (event.key === " " && on.matches("button, a, summary, input[type=checkbox], input[type=radio]")) return;
    if (event.key === "Enter" && on.matches("button, a, summary")) return;
    if (event.key.startsWith("Arrow") && on.matches("input[type=radio], video")) return;
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    act();
  });

  return { video, keys, playFrom };
})();
