// Loads the page again now and then, but not under the hands of somebody who is at work on it.
"use strict";

{ // what is named here is not known to the page's other scripts
  const seconds = Number(document.currentScript.dataset.seconds);
  const still = 10; // seconds after which nobody is thought to read on
  let moved = 0;

  for (const sign of ["scroll", "pointermove", "pointerdown", "keydown"]) {
    addEventListener(sign, () => { moved = Date.now(); }, { passive: true });
  }

  const atWork = () => {
    const playing = [...document.querySelectorAll("audio")].some((sound) => !sound.paused);
    const here = document.activeElement;
    const typing = here && here !== document.body && here.closest("#map, form, audio");
    const reading = Date.now() - moved < 1000 * still;
    return playing || typing || reading || document.hidden || document.querySelector("#map[data-used]");
  };

  setInterval(() => {
    if (!atWork()) location.reload();
  }, 1000 * seconds);
}
