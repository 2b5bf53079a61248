// Pages that stay true: a stream says that something has changed, and the page fetches itself again. A hidden tab rests.
const SILENT = 40000, LOST = 5000;

function live() {
  const line = document.querySelector("[data-live]");
  const part = document.querySelector("[data-live-part]");
  if (!line || !part || !("EventSource" in window)) return;
  const text = line.querySelector("[data-live-text]");
  const said = document.querySelector("[data-live-said]");
  let source = null, version = Number(line.dataset.version), at = "", silence = 0, lost = 0, fetching = false;

  const shown = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const gone = () => {
    line.classList.add("nrm-live--gone");
    text.textContent = shown(line.dataset.gone, { at });
  };
  const rows = (within) => new Set(Array.from(within.querySelectorAll("[data-row]"), (row) => row.id));

  async function again() {
    if (fetching) return;
    fetching = true;
    try {
      await new Promise((go) => setTimeout(go, Math.random() * 500));
      const answer = await fetch(location.href, { headers: { "nrm-by-itself": "1" }, redirect: "manual" });
      if (!answer.ok) return gone();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("[data-live-part]"), its = page.querySelector("[data-live]");
      if (!next || !its) return gone();
      const held = document.activeElement && part.contains(document.activeElement) ? document.activeElement.id : "";
      const before = rows(part), after = rows(next);
      part.replaceChildren(...next.childNodes);
      version = Number(its.dataset.version);
      if (held) (document.getElementById(held) || document.getElementById("main")).focus();
      const added = [...after].filter((id) => !before.has(id)).length;
      const left = [...before].filter((id) => !after.has(id)).length;
      if (added || left) said.textContent = shown(line.dataset.changed, { added, gone: left });
    } finally {
      fetching = false;
    }
  }

  function heard(event) {
    const now = JSON.parse(event.data);
    at = now.at;
    line.classList.remove("nrm-live--gone");
    text.textContent = shown(line.dataset.true, { at });
    for (const [name, [count, late]] of Object.entries(now.counts)) {
      for (const mark of document.querySelectorAll(`[data-count="${name}"]`)) {
        mark.firstElementChild.textContent = count;
        mark.hidden = !count;
        mark.classList.toggle("nrm-count--late", late);
      }
    }
    clearTimeout(lost);
    lost = 0;
    if (now.version !== version) again().catch(gone);
    clearTimeout(silence);
    silence = setTimeout(gone, SILENT);
  }

  function rest() {
    clearTimeout(silence);
    clearTimeout(lost);
    lost = 0;
    if (source) source.close();
    source = null;
  }

  function follow() {
    rest();
    if (document.hidden) return;
    source = new EventSource(line.dataset.live);
    source.onmessage = heard;
    source.onerror = () => { lost ||= setTimeout(gone, LOST); }; // the browser tries again, with an error each time
    silence = setTimeout(gone, SILENT);
  }

  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", rest);
  at = text.textContent.match(/\d\d:\d\d/)?.[0] ?? "";
  follow();
}

live();
