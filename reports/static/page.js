"use strict";
// Filters, and what scrolls sideways reached by the keyboard: without script the page is whole.
(() => {
  // Only near the window, and all reads before all writes: anything else lays out the whole page.
  const near = (entries) => {
    const wide = entries.map((e) => e.isIntersecting && e.target.scrollWidth > e.target.clientWidth);
    entries.forEach((e, i) => { if (wide[i]) e.target.tabIndex = 0; });
  };
  const seen = new IntersectionObserver(near, { rootMargin: "400px" });
  for (const e of document.querySelectorAll(".scroll, .display")) seen.observe(e);
})();
// A face is loaded when first drawn with: for print that is too late, and its text is left out.
for (const face of document.fonts) face.load();
(() => {
  const form = document.querySelector(".filters");
  if (!form) return;
  const find = form.querySelector("#find");
  const pick = form.querySelector("#pick");
  const shown = form.querySelector("#shown");
  const rows = [...document.querySelectorAll(".claims tbody tr")];
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((w) => text.includes(w))
        && (!pick.value || row.className === `is-${pick.value}`);
      row.hidden = !fits;
      if (fits) count += 1;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("beforeprint", () => {
    for (const d of document.querySelectorAll("details")) d.open = true;
  });
})();
