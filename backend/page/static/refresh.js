// Loads the page again now and then, but not under the hands of somebody who is at work on it.
"use strict";

const seconds = Number(document.currentScript.dataset.seconds);

function atWork() {
  const playing = [...document.querySelectorAll("audio")].some((sound) => !sound.paused);
  const here = document.activeElement;
  const typing = here && here !== document.body && here.closest("#map, form, audio");
  return playing || typing || document.hidden || document.querySelector("#map[data-used]");
}

setInterval(() => {
  if (!atWork()) location.reload();
}, 1000 * seconds);
