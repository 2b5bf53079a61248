/* Leaves the page at once, and proves a little work instead of asking riddles. Written for old browsers; nothing is loaded. */
/* Pages of this site take one place in the history, so that the Back button of the page behind the exit leads to none of them. */
(function () {
  "use strict";
  var root = document.documentElement, link = document.querySelector(".leave .exit"), isLanguage = false;

  function leave() {
    document.title = "\u2026";
    root.className += " gone";
    window.location.replace(link.href); /* this page's place in the history becomes the other page's */
  }

  function isTyped(form) {
    for (var at = 0; at < form.elements.length; at++) {
      var each = form.elements[at];
      if (each.type === "radio" ? each.checked : (each.type === "text" || each.type === "textarea") && each.value) { return true; }
    }
    return false;
  }

  if (link) {
    var pressed = 0, since = 0, count = document.querySelector(".leave .count"), texts = count.getAttribute("data-left").split("|");
    document.addEventListener("click", function (event) {
      var at = event.target;
      while (at && at !== document) {
        if (at.getAttribute("data-leave") !== null) { event.preventDefault(); leave(); return; }
        if (at.tagName === "BUTTON") {
          isLanguage = at.name === "language";
          if (isLanguage && at.getAttribute("data-page") !== null && !isTyped(at.form)) {
            event.preventDefault(); /* nothing to keep: a page is asked for, which takes no place in the history */
            window.location.replace(at.getAttribute("formaction"));
          }
          return;
        }
        if (at.tagName === "A" && at.host === window.location.host && !at.hash && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
          event.preventDefault();
          window.location.replace(at.href);
          return;
        }
        at = at.parentNode;
      }
    });
    document.addEventListener("keyup", function (event) {
      if (event.key !== "Shift" && event.keyCode !== 16) { if (event.key !== "Tab") { pressed = 0; count.textContent = ""; } return; }
      var now = new Date().getTime();
      pressed = now - since < 5000 ? pressed + 1 : 1;
      since = now;
      count.textContent = pressed < 3 ? texts[pressed - 1] : "";
      if (pressed >= 3) { leave(); }
      setTimeout(function () { if (new Date().getTime() - since >= 5000) { pressed = 0; count.textContent = ""; } }, 5100);
    });
    window.addEventListener("pageshow", function () { root.className = root.className.replace(" gone", ""); });
  }

  function zeros(digest, bits) {
    var bytes = new Uint8Array(digest), whole = bits >> 3;
    for (var at = 0; at < whole; at++) { if (bytes[at]) { return false; } }
    return (bytes[whole] >> (8 - (bits & 7))) === 0;
  }

  function prove(form) {
    var slip = form.elements.slip.value, bits = +form.getAttribute("data-bits"), next = 0, asked = false;
    var text = window.TextEncoder && new TextEncoder(), button = form.querySelector("button");
    if (!text || !window.crypto || !window.crypto.subtle || !window.Promise) { return; }
    form.addEventListener("submit", function (event) {
      if (isLanguage || form.elements.proof.value) { return; }
      event.preventDefault();
      asked = true;
      button.textContent = form.getAttribute("data-busy");
    });
    function some() {
      var tries = [], first = next;
      for (; next < first + 256; next++) { tries.push(crypto.subtle.digest("SHA-256", text.encode(slip + "." + next))); }
      Promise.all(tries).then(function (digests) {
        for (var at = 0; at < digests.length; at++) {
          if (zeros(digests[at], bits)) {
            form.elements.proof.value = String(first + at);
            if (asked) { form.submit(); }
            return;
          }
        }
        setTimeout(some, 0);
      });
    }
    some();
  }

  var forms = document.querySelectorAll("form[data-bits]");
  for (var at = 0; at < forms.length; at++) { prove(forms[at]); }
})();
