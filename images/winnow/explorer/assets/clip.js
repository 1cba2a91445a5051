// A clip's page: its neighbours by key, slower and faster, and the moment that plays over the pictures of its sound.
"use strict";
(() => {
  const go = (id) => () => document.getElementById(id)?.click();
  Object.assign(winnow.keys, { n: go("next"), p: go("previous"), g: go("up") });

  const box = document.querySelector(".timeline"), video = winnow.video;
  if (!video || !box) return;
  const now = box.querySelector(".now"), seconds = () => video.duration || Number(box.dataset.seconds) || 1;
  const pictures = [...box.querySelectorAll("img, svg")];
  if (!pictures.length) return;
  for (const image of box.querySelectorAll("img")) {
    // One pixel says that nothing could be drawn.
    const look = () => { if (image.naturalWidth < 2) image.closest("figure").hidden = true; };
    image.addEventListener("load", look);
    image.addEventListener("error", look);
    if (image.complete) look();
  }
  now.hidden = false;
  video.addEventListener("moved", () => {
    const first = (pictures.find((one) => one.getClientRects().length) || box).getBoundingClientRect(), around = box.getBoundingClientRect();
    if (!first.width) return;
    now.style.left = `${first.left - around.left + (first.width * video.currentTime) / seconds()}px`;
  });
  for (const picture of pictures)
    picture.addEventListener("click", (event) => {
      const at = picture.getBoundingClientRect();
      winnow.playFrom((seconds() * (event.clientX - at.left)) / at.width);
    });
})();
