"use strict";

// The viewer: steps through all images of the page in their order, so that ground truth and prediction alternate.
const viewer = document.getElementById("viewer");
const links = [...document.querySelectorAll("a.zoom")];
let current = 0;

function show(index) {
  current = (index + links.length) % links.length;
  const image = viewer.querySelector("img");
  image.src = links[current].href;
  image.alt = links[current].title;
  viewer.querySelector(".caption").textContent = links[current].title;
}

links.forEach((link, index) => {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    show(index);
    viewer.showModal();
  });
});
viewer.querySelector(".previous").addEventListener("click", () => show(current - 1));
viewer.querySelector(".next").addEventListener("click", () => show(current + 1));
viewer.querySelector(".close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target.localName === "figure" || event.target === viewer) {
    viewer.close();
  }
});
viewer.addEventListener("close", () => links[current].focus());
viewer.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    event.preventDefault();
    show(current + step);
  }
});
