// Script of a form and of a sent event: saves what is typed, and looks again while an answer is awaited. Without it, Continue saves.
const form = document.querySelector("form[data-keep]");
if (form) {
  const status = form.querySelector("[data-status]");
  let timer = 0;
  let saving = null;
  const save = (headers = {}) => (saving ??= saveNow(headers).finally(() => { saving = null; }));
  const saveNow = async (headers) => {
    const body = new URLSearchParams(new FormData(form));
    const names = [...form.elements].map((each) => each.name).filter((name) => name && name !== "version" && name !== "go");
    body.set("fields", [...new Set(names)].join(" "));
    try {
      const answer = await fetch(form.dataset.keep, { method: "POST", headers, body, redirect: "error" });
      const said = answer.status === 401 ? { state: "over" } : await answer.json();
      if (said.state === "saved") {
        form.elements.version.value = said.version;
        status.textContent = form.dataset.saved.replace("{clock}", said.at);
      } else {
        status.textContent = form.dataset[said.state] ?? form.dataset.failed;
      }
    } catch {
      status.textContent = form.dataset.failed;
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(save, 1500);
  });
  form.addEventListener("submit", async (event) => {
    clearTimeout(timer);
    if (!saving) return;
    event.preventDefault(); // the form has the version from before: sent now, it would look like another tab's
    await saving;
    form.requestSubmit(event.submitter);
  });
  // The person may have gone away: this save must not extend the session.
  document.addEventListener("nrm:session-ends", () => save({ "nrm-by-itself": "1" }));
}

const look = async () => {
  const waiting = document.querySelector("[data-live]");
  if (!waiting) return;
  try {
    const answer = await fetch(waiting.dataset.live, { redirect: "error", headers: { "nrm-by-itself": "1" } });
    if (answer.status === 401) return; // the session is over: the page stays as it is
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!page.querySelector("[data-live]")) {
        document.title = page.title;
        document.querySelector("#main").replaceWith(page.querySelector("#main"));
        document.querySelector("#main").setAttribute("tabindex", "-1");
        document.querySelector("#main").focus();
        return;
      }
    }
  } catch {
    // the desk is away: look again
  }
  setTimeout(look, 3000);
};
if (document.querySelector("[data-live]")) setTimeout(look, 3000);
