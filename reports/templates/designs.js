// The page can do without this: it opens the counterexample that an address names, and copies scripts.
"use strict";

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named || !named.closest("details")) return;
  for (let one = named.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  named.closest("details").scrollIntoView();
  named.closest("details").querySelector("summary").focus({ preventScroll: true });
}

function addCopyButtons() {
  for (const script of document.querySelectorAll(".script")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(script.querySelector("pre").textContent);
      button.textContent = "Copied";
    });
    script.append(button);
  }
}

addEventListener("hashchange", openNamed);
addCopyButtons();
openNamed();
