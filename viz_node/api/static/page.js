// Says so when the node stops answering, and keeps refreshes out of the reader's way; the page works without this file.
"use strict";
(function () {
  const shown = new WeakMap();
  const mark = function (isOffline) { document.documentElement.classList.toggle("is-offline", isOffline); };
  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () { mark(true); });
  });
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (document.hidden) { event.preventDefault(); }
  });
  document.addEventListener("htmx:beforeSwap", function (event) {
    const panel = event.detail.target;
    const text = event.detail.xhr.responseText;
    if (event.detail.xhr.status >= 400) { return; }
    mark(false);
    if (shown.get(panel) === text || isInUse(panel)) { event.detail.shouldSwap = false; return; }
    shown.set(panel, text);
  });
  // What somebody has opened, selected or reached by keyboard stays as it is.
  function isInUse(panel) {
    const selection = window.getSelection();
    const isSelected = selection !== null && !selection.isCollapsed && panel.contains(selection.anchorNode);
    return isSelected || panel.contains(document.activeElement) || panel.querySelector("details[open]") !== null;
  }
})();
