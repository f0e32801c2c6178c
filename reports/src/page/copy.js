"use strict";
// Copy buttons: the clipboard where the browser lets a file have it, or else the text is selected, ready for Ctrl+C.

function copySelected(code) {
  const range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand("copy");
}

async function copyText(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    return copySelected(code);
  }
}

for (const button of document.querySelectorAll("button.copy")) {
  const said = button.parentElement.querySelector(".copied");
  button.addEventListener("click", async () => {
    said.textContent = (await copyText(button.parentElement.querySelector("code"))) ? "copied" : "selected: press Ctrl+C";
    setTimeout(() => { said.textContent = ""; }, 2500);
  });
}
