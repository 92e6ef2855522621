// Says so when the node stops answering; everything else works without this file.
"use strict";
(function () {
  const mark = function (isOffline) { document.documentElement.classList.toggle("is-offline", isOffline); };
  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () { mark(true); });
  });
  document.addEventListener("htmx:afterSwap", function () { mark(false); });
  // An open `details` stays open over a refresh.
  document.addEventListener("htmx:beforeSwap", function (event) {
    const isOpen = event.detail.target.querySelector("details[open], .job:focus-within") !== null;
    if (isOpen || (window.getSelection && event.detail.target.contains(window.getSelection().anchorNode)
      && !window.getSelection().isCollapsed)) { event.detail.shouldSwap = false; mark(false); }
  });
})();
